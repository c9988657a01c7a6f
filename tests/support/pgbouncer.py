"""The real PgBouncer, configured by ``deploy/pgbouncer.ini``."""

import contextlib
import os
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.ports import free_port
from tests.support.programs import deployed, program, running


@contextlib.contextmanager
def pgbouncer(folder, url):
    """Run PgBouncer in front of a database; yield the URL that leads through it."""
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
