"""The clock. Every time in PyCoder is an aware UTC time from ``now()``."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)
