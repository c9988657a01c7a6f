"""The ways in which PyCoder runs a statement."""

from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Insert,
    Integer,
    Select,
    Update,
    bindparam,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row
from sqlalchemy.sql import Executable

from pycoder.db.base import Base
from pycoder.extensions import db


def fetch_one(statement: Executable, values: dict[str, Any]) -> Row[Any] | None:
    """Answer one row of a SELECT, outside any transaction.

    One round trip on PostgreSQL (no BEGIN, no ROLLBACK), and the connection is back in its pool
    before the caller hashes a password or waits for anything.
    """
    with autocommit() as connection:
        return connection.execute(statement, values).first()


def execute(statement: Update, values: dict[str, Any]) -> int:
    """Run one statement, a transaction of its own; its row count is the verdict."""
    with autocommit() as connection:
        return connection.execute(statement, values).rowcount


def autocommit() -> Connection:
    """Return a connection whose every statement is a transaction of its own.

    Its engine has a pool of its own (``SQLALCHEMY_BINDS`` in config.py), so that connections are
    set to autocommit once and not at every use.
    """
    return db.engines["autocommit"].connect()


def insert_into(model: type[Base]) -> Any:
    """Return an INSERT of this database's own kind, which knows ``ON CONFLICT``."""
    kinds = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return kinds[db.engine.name](model)


def execute_in_transaction(
    statement: Update | Delete | Insert, values: dict[str, Any] | None = None
) -> int:
    """Run a statement in the caller's transaction; its row count is the verdict."""
    options = {"synchronize_session": False, "preserve_rowcount": True}  # also of an INSERT
    result = cast(
        CursorResult[Any], db.session.execute(statement, values, execution_options=options)
    )
    return result.rowcount


def select_batch(key: Any, condition: ColumnElement[bool]) -> Select[Any]:
    """Return a subquery of a DELETE: the keys of up to ``:batch`` rows that nobody else works on.

    They are picked in a CTE. PostgreSQL may run a plain subquery once a row, and skipping what is
    locked already, each run picks other rows.
    """
    picked = select(key).where(condition).limit(bindparam("batch", type_=Integer))
    return select(picked.with_for_update(skip_locked=True).cte(nesting=True))
