"""What every peer shares: its database, its secret, and how a user looks in JSON."""

import os
from datetime import UTC, datetime

DATABASE_URL = os.environ["DATABASE_URL"]
SQLITE = DATABASE_URL.startswith("sqlite")
SQLITE_FILE = DATABASE_URL.removeprefix("sqlite:///")
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")  # as PyCoder sets them
SECRET = "mDkyGXkFSn1Vu4i0XxwLq7ZtRj9bEoTaPcHyWd2sQeUf"
ROUNDS = 12  # bcrypt's cost
ACCESS_SECONDS = 4 * 3600  # a full run must not outlive its access tokens
REFRESH_SECONDS = 7 * 86_400


def now():
    return datetime.now(UTC)


def user_json(user):
    """Return what PyCoder answers for a user, less ``email_verified``."""
    return {
        "id": str(user.id),
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "date_joined": user.date_joined.isoformat(),
    }


def sqlalchemy_url(driver="psycopg"):
    """Return the database's address with the driver that this peer uses for PostgreSQL."""
    return DATABASE_URL.replace("postgresql://", f"postgresql+{driver}://")


def set_pragmas(connection, _=None):
    """Set up a new connection to SQLite; a listener for SQLAlchemy's ``connect`` event."""
    if SQLITE:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(pragma)
        cursor.close()
