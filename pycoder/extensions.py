"""The extensions, unbound, and the two ways in which rooms use the database.

``create_app`` binds them. ``jwt`` stands in tokens.py and ``api`` in openapi.py, each beside the
class that it is an instance of.
"""

from typing import Any, cast

from flask import Flask, request
from flask_cors import CORS
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Insert,
    Integer,
    MetaData,
    Select,
    Update,
    bindparam,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import Executable

from pycoder.sqlite import PatientConnection


class Base(DeclarativeBase):
    """The declarative base; named constraints, so that migrations can drop what they made."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(render_as_batch=True)


class AskedCORS(CORS):
    """Flask-CORS for who names an origin: to others it says nothing, and takes its time for it."""

    def init_app(self, app: Flask, **options: Any) -> None:  # type: ignore[override]
        super().init_app(app, **options)
        answer = app.after_request_funcs[None].pop()
        app.after_request(lambda given: answer(given) if "Origin" in request.headers else given)


cors = AskedCORS()


def read(statement: Executable, values: dict[str, Any]) -> Row[Any] | None:
    """Answer one row of a SELECT, outside any transaction.

    One round trip on PostgreSQL (no BEGIN, no ROLLBACK), and the connection is back in its pool
    before the caller hashes a password or waits for anything.
    """
    with autocommit() as connection:
        return connection.execute(statement, values).first()


def write(statement: Update, values: dict[str, Any]) -> int:
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


def changed(statement: Update | Delete | Insert, values: dict[str, Any] | None = None) -> int:
    """Run a statement in the caller's transaction; its row count is the verdict."""
    options = {"synchronize_session": False, "preserve_rowcount": True}  # also of an INSERT
    result = cast(
        CursorResult[Any], db.session.execute(statement, values, execution_options=options)
    )
    return result.rowcount


def batch_of(key: Any, condition: ColumnElement[bool]) -> Select[Any]:
    """Return a subquery of a DELETE: the keys of up to ``:batch`` rows that nobody else works on.

    They are picked in a CTE. PostgreSQL may run a plain subquery once a row, and skipping what is
    locked already, each run picks other rows.
    """
    picked = select(key).where(condition).limit(bindparam("batch", type_=Integer))
    return select(picked.with_for_update(skip_locked=True).cte(nesting=True))


@event.listens_for(Engine, "do_connect")
def _connect_with_limited_patience(dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
    """Have both databases answer or fail in time."""
    if dialect.driver != "psycopg":
        cparams["factory"] = PatientConnection
        return None
    from pycoder.postgres import ImpatientConnection  # psycopg is there only with PostgreSQL

    return ImpatientConnection.connect(*cargs, **cparams)
