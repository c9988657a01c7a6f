"""A SQLite connection that takes its turn with the others.

SQLite has one writer at a time and no queue: whoever finds it taken looks again later. Its own
busy handler looks ever more rarely, up to ten times a second, so that in a crowd those who came
last overtake those who came first until some have waited too long. Here one thread of each process
looks, several times a millisecond, and the others wait for its place, for as long as a caller may
be kept waiting.
"""

import random
import sqlite3
import threading
import time
from typing import Any

BUSY_TIMEOUT = 2.0  # seconds, as long as for PostgreSQL
RETRY_INTERVAL = (0.0001, 0.0002)  # seconds, at random so that no process keeps step with another
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)


_retrying = threading.Lock()


class BusyRetryCursor(sqlite3.Cursor):
    """A cursor that waits for the writer before it."""

    def execute(self, *args: Any) -> "BusyRetryCursor":
        """Execute; raises ``OperationalError`` when the database stays locked."""
        deadline = time.monotonic() + BUSY_TIMEOUT
        try:
            return super().execute(*args)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in BUSY_CODES or not _retrying.acquire(
                timeout=BUSY_TIMEOUT
            ):
                raise
        try:
            return self._look_until(deadline, *args)
        finally:
            _retrying.release()

    def _look_until(self, deadline: float, *args: Any) -> "BusyRetryCursor":
        while True:
            try:
                return super().execute(*args)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in BUSY_CODES or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(*RETRY_INTERVAL))  # noqa: S311 - a pause is no secret


class BusyRetryConnection(sqlite3.Connection):
    """A connection whose cursors wait, and whose promises hold.

    Readers beside a writer, durable commits, foreign keys.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{**kwargs, "timeout": 0})
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self.cursor().execute(f"PRAGMA {pragma}").close()

    def cursor(self, factory: Any = BusyRetryCursor) -> Any:
        return super().cursor(factory)
