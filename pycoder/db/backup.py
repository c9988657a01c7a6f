"""An online copy of the SQLite database."""

import errno
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pycoder.extensions import db


def back_up(file: Path) -> str:
    """Copy the SQLite database to a new file, and return its schema revision.

    The server may run meanwhile: the copy shows the database at one moment. It is made in a folder
    beside ``file``, checked, and on the disk before it gets its name, which is never that of an
    existing file. Raises ``OSError`` or ``sqlite3.Error``, and then leaves nothing behind.
    """
    if file.exists():
        raise FileExistsError(errno.EEXIST, "the file exists already", str(file))
    with TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
        draft = Path(folder, file.name)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(draft)) as copy:
            _copy_to(copy)
            revision = _check(copy)
        _sync(draft)
        os.link(draft, file)  # fails if a file of this name has appeared
    _sync(file.parent)
    return revision


def _copy_to(copy: sqlite3.Connection) -> None:
    """Copy all pages in one step. In several, each write would begin the copy again."""
    source = db.engine.raw_connection()
    try:
        source.driver_connection.backup(copy)  # type: ignore[union-attr]
    finally:
        source.close()


def _check(copy: sqlite3.Connection) -> str:
    """Return the schema revision of a copy. Raises ``DatabaseError`` if it is damaged."""
    if (damage := copy.execute("PRAGMA integrity_check").fetchone()) != ("ok",):
        raise sqlite3.DatabaseError(f"the database is damaged: {damage[0]}")
    with suppress(sqlite3.OperationalError):  # no such table
        if row := copy.execute("SELECT version_num FROM alembic_version").fetchone():
            return str(row[0])
    raise sqlite3.DatabaseError("the database has no tables; run flask db upgrade first")


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
