"""Settings and functions that all other systems share."""

import os
from datetime import UTC, datetime

DATABASE_URL = os.environ["DATABASE_URL"]
SQLITE = DATABASE_URL.startswith("sqlite")
SQLITE_FILE = DATABASE_URL.removeprefix("sqlite:///")
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")  # as PyCoder sets them
SECRET = "mDkyGXkFSn1Vu4i0XxwLq7ZtRj9bEoTaPcHyWd2sQeUf"
ROUNDS = 12  # cost of bcrypt
ACCESS_SECONDS = 4 * 3600  # longer than a full run
REFRESH_SECONDS = 7 * 86_400


def now():
    return datetime.now(UTC)


def user_json(user):
    """Return the fields of a user that PyCoder returns, except ``email_verified``."""
    return {
        "id": str(user.id),
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "date_joined": user.date_joined.isoformat(),
    }


def sqlalchemy_url(driver="psycopg"):
    """Return the database URL, with the driver that the system uses for PostgreSQL."""
    return DATABASE_URL.replace("postgresql://", f"postgresql+{driver}://")


def set_pragmas(connection, _=None):
    """Configure a SQLite connection; listens to SQLAlchemy's ``connect`` event."""
    if SQLITE:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(pragma)
        cursor.close()
