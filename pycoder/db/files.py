"""The files of an installation: their modes, and the log beside the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from sqlalchemy import make_url

from config import Config

READ_OR_WRITE = 0o006  # by every user of the machine; access of a group is the operator's decision


def database_file(config: Config) -> Path | None:
    """Return the file of the SQLite database, or ``None`` with PostgreSQL."""
    url = make_url(config.DATABASE_URL)
    is_file = url.get_backend_name() == "sqlite" and url.database
    return config.instance / is_file if is_file else None


def exposed_files(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield each file that every user of the machine can open, and its mode.

    PyCoder does not change the mode, because the operator may have set it.
    """
    database = database_file(config)
    beside = [Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm")] if database else []
    mails = [Path(config.MAIL_URL[5:])] if config.MAIL_URL.startswith("file:") else []
    for path in (config.instance, *beside, *mails):
        if path.exists() and path.stat().st_mode & READ_OR_WRITE:
            yield path, f"{path.stat().st_mode & 0o777:04o}"


def init_app(app: Flask) -> None:
    """Log a warning for each file that every user of the machine can open."""
    for path, mode in exposed_files(app.extensions["pycoder.config"]):
        app.logger.warning("%s has the mode %s: run chmod o-rwx %s", path, mode, path)


def checkpoint(config: Config) -> None:
    """Move the log into the database file, and truncate it.

    A process calls this when it ends, so that a copy of the file is complete, and when mails were
    sent and deleted, so that they are in no file. As much is done as is possible without waiting.
    """
    if file := database_file(config):
        existing = f"file:{quote(str(file))}?mode=rw"
        with suppress(sqlite3.Error), closing(sqlite3.connect(existing, 0, uri=True)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
