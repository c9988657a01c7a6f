"""Execute statements: in autocommit, or in the caller's transaction.

The two statements of nearly every request are prepared: see prepared.py.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    """Return the first row of a SELECT, outside any transaction.

    This takes one round trip on PostgreSQL, without BEGIN and ROLLBACK. The connection is back in
    its pool before the caller hashes a password or waits for anything.
    """
    with autocommit() as connection:
        return connection.execute(statement, values).first()


def fetch_all(statement: Executable, values: dict[str, Any]) -> Sequence[Row[Any]]:
    """Return all rows of a SELECT, outside any transaction."""
    with autocommit() as connection:
        return connection.execute(statement, values).all()


def execute(statement: Update, values: dict[str, Any]) -> int:
    """Execute an UPDATE in a transaction of its own, and return its row count."""
    with autocommit() as connection:
        return connection.execute(statement, values).rowcount


def autocommit() -> Connection:
    """Return a connection whose every statement is a transaction of its own.

    It comes from a second engine (``SQLALCHEMY_BINDS`` in config.py), whose connections are set to
    autocommit once and not at every use. That saves 118 µs a statement.
    """
    return db.engines["autocommit"].connect()


@contextmanager
def separate_transaction() -> Iterator[Connection]:
    """Return a connection in a transaction of its own, beside that of the caller.

    For several statements that other connections must see together.
    """
    with autocommit() as connection:
        level: Any = connection.dialect.default_isolation_level
        with connection.execution_options(isolation_level=level).begin():
            yield connection


def insert_into(model: type[Base]) -> Any:
    """Return an INSERT in the dialect of the database, which supports ``ON CONFLICT``."""
    dialects = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return dialects[db.engine.name](model)


def execute_in_transaction(
    statement: Update | Delete | Insert, values: dict[str, Any] | None = None
) -> int:
    """Execute a statement in the caller's transaction, and return its row count.

    Of simultaneous transactions with the same conditional statement, one gets a row count of 1.
    """
    options = {"synchronize_session": False, "preserve_rowcount": True}  # an INSERT, too
    result = cast(
        CursorResult[Any], db.session.execute(statement, values, execution_options=options)
    )
    return result.rowcount


def select_batch(key: Any, condition: ColumnElement[bool]) -> Select[Any]:
    """Return a subquery for a DELETE: the keys of up to ``:batch`` unlocked rows.

    The rows are selected in a CTE, because PostgreSQL may execute a plain subquery once a row. As
    each execution skips locked rows, it would select other rows each time.
    """
    unlocked = select(key).where(condition).limit(bindparam("batch", type_=Integer))
    return select(unlocked.with_for_update(skip_locked=True).cte(nesting=True))
