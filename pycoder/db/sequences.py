"""The counters that generate the ids of rows."""

from sqlalchemy import text

from pycoder.db.base import Base
from pycoder.extensions import db

_ADVANCE = {
    "sqlite": (
        "INSERT INTO sqlite_sequence (name, seq)"
        " SELECT :table, 0 WHERE :table NOT IN (SELECT name FROM sqlite_sequence)",
        "UPDATE sqlite_sequence SET seq = seq + :gap WHERE name = :table",
    ),
    "postgresql": (
        "SELECT setval(ids::regclass, nextval(ids::regclass) + :gap)"
        " FROM pg_get_serial_sequence(:table, 'id') AS ids",
    ),
}


def advance_ids(gap: int) -> None:
    """Leave out ``gap`` ids of every table that generates them.

    It is part of the caller's transaction. PostgreSQL advances a sequence even if that fails.
    """
    for table in Base.metadata.sorted_tables:
        if table.autoincrement_column is not None:
            for statement in _ADVANCE[db.engine.name]:
                db.session.execute(text(statement), {"table": table.name, "gap": gap})
