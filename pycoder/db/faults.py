"""Faults of the database: which are temporary, and which make it unresponsive."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pycoder.db.sqlite import BUSY_CODES

READ_ONLY, NO_SUCH_TABLE = "25006", "42P01"  # SQLSTATEs of PostgreSQL


def is_unmigrated(error: Exception) -> bool:
    """Return whether a table is missing, as before the first migration."""
    reason = getattr(error, "orig", None)
    if isinstance(reason, sqlite3.OperationalError):
        return str(reason).startswith("no such table")
    return getattr(reason, "sqlstate", None) == NO_SUCH_TABLE


def is_unavailable(error: Exception) -> bool:
    """Return whether the database is away, full, locked or read-only.

    Every other error that it reports is a defect of the application.
    """
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
        return True
    return getattr(getattr(error, "orig", None), "sqlstate", None) == READ_ONLY


def is_unresponsive(error: Exception) -> bool:
    """Return whether the next statement would wait for the database in vain, too."""
    if isinstance(error, DBAPIError):
        busy = getattr(error.orig, "sqlite_errorcode", None) in BUSY_CODES
        return busy or error.connection_invalidated
    return isinstance(error, PoolTimeout)
