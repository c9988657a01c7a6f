"""A SQLite connection that waits for the writer before it.

SQLite has one writer at a time and no queue: a blocked writer retries later. SQLite's own busy
handler retries ever more rarely, down to ten times a second. Under load, late writers then overtake
early ones, until some of these time out. Here one thread of each process retries several times a
millisecond, and its other threads wait for that one. To do without this module, pass ``timeout`` to
``sqlite3.connect``.
"""

import os
import random
import sqlite3
import threading
import time
from contextlib import suppress
from typing import Any

BUSY_TIMEOUT = 2.0  # seconds, the same as for PostgreSQL
RETRY_INTERVAL = (0.0001, 0.0002)  # seconds, random so that processes do not retry in step
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)

_retrying = threading.Lock()  # of the one thread that retries


class BusyRetryCursor(sqlite3.Cursor):
    """A cursor that waits for the writer before it."""

    def execute(self, *args: Any) -> "BusyRetryCursor":
        """Execute a statement. Raises ``OperationalError`` if the database stays locked."""
        deadline = time.monotonic() + BUSY_TIMEOUT
        try:
            return super().execute(*args)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in BUSY_CODES or not _retrying.acquire(
                timeout=BUSY_TIMEOUT
            ):
                raise
        try:
            return self._retry_until(deadline, *args)
        finally:
            _retrying.release()

    def _retry_until(self, deadline: float, *args: Any) -> "BusyRetryCursor":
        while True:
            try:
                return super().execute(*args)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in BUSY_CODES or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(*RETRY_INTERVAL))  # noqa: S311 - not a secret


class BusyRetryConnection(sqlite3.Connection):
    """A connection whose cursors wait for a busy database.

    Its pragmas allow readers beside a writer, make commits durable, enforce foreign keys, and
    overwrite what is deleted. A new database can be read by its owner only, and so can its log,
    which SQLite gives the same mode.
    """

    def __init__(self, database: str, *args: Any, **kwargs: Any):
        if not kwargs.get("uri"):
            with suppress(OSError):  # it exists already, or SQLite reports why it cannot exist
                os.close(os.open(database, os.O_CREAT | os.O_EXCL, 0o600))
        super().__init__(database, *args, **{**kwargs, "timeout": 0})
        for pragma in PRAGMAS:
            self.cursor().execute(f"PRAGMA {pragma}").close()

    def cursor(self, factory: Any = BusyRetryCursor) -> Any:
        return super().cursor(factory)
