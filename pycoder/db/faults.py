"""Faults of the database: which are temporary, and which make it unresponsive."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pycoder.db.sqlite import BUSY_CODES

TRANSIENT_SQLSTATES = ("25006", "42P01")  # read-only; no such table, before the first migration


def is_unavailable(error: Exception) -> bool:
    """Return whether the database is away, full, locked, read-only or unmigrated.

    Every other error that it reports is a defect of the application.
    """
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout)):
        return True
    return getattr(getattr(error, "orig", None), "sqlstate", None) in TRANSIENT_SQLSTATES


def is_unresponsive(error: Exception) -> bool:
    """Return whether the next statement would wait for the database in vain, too."""
    if isinstance(error, DBAPIError):
        busy = getattr(error.orig, "sqlite_errorcode", None) in BUSY_CODES
        return busy or error.connection_invalidated
    return isinstance(error, PoolTimeout)
