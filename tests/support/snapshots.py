"""A backup in memory of everything that a database holds."""

from sqlalchemy import text

from pycoder.db.base import Base
from pycoder.extensions import db


def take(app):
    """Return the rows of all tables, and the state of the id sequences."""
    with app.app_context(), db.engine.begin() as connection:
        rows = {
            table: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }
        return rows, _sequences(connection)


def put_back(app, snapshot):
    """Replace everything by a snapshot, as restoring a backup does."""
    rows, sequences = snapshot
    with app.app_context(), db.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        for table, stored in rows.items():
            if stored:
                connection.execute(table.insert(), stored)
        for name, last in sequences:
            connection.execute(text(_SET[connection.dialect.name]), {"name": name, "last": last})


_SET = {
    "sqlite": "UPDATE sqlite_sequence SET seq = :last WHERE name = :name",
    "postgresql": "SELECT setval(CAST(:name AS regclass), :last)",
}
_GET = {
    "sqlite": "SELECT name, seq FROM sqlite_sequence",
    "postgresql": "SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL",
}


def _sequences(connection):
    return [tuple(row) for row in connection.execute(text(_GET[connection.dialect.name]))]
