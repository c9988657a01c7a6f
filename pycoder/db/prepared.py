"""Prepared statements: compiled once by SQLAlchemy, executed by the driver.

SQLAlchemy creates a context and a result for each execution. Without them, ``GET /api/user/`` takes
28 % less CPU time in-process. SQLAlchemy's pool, types and handling of faults are still used. To do
without this module, use ``fetch_one`` and ``execute`` of db/queries.py.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

from sqlalchemy import ClauseElement, ColumnElement
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from pycoder.db.queries import autocommit

Convert = Callable[[Any], Any]


class CompiledStatement(NamedTuple):
    """A statement in one dialect, and the converters of its values and columns."""

    sql: str
    by_position: bool
    values: list[tuple[str, Convert | None]]
    columns: list[Convert | None]


class PreparedStatement:
    """A statement whose every execution is a transaction of its own.

    Each of its values is a ``bindparam``. An UPDATE also sets the columns that the values name.
    """

    def __init__(self, statement: ClauseElement):
        self._statement = statement
        self._compiled = lru_cache(8)(self._compile)

    def fetch_one(self, values: dict[str, Any]) -> list[Any] | None:
        """Return the first row of a SELECT, or ``None``."""
        return self._execute(values)[1]

    def execute(self, values: dict[str, Any]) -> int:
        """Execute an UPDATE, and return its row count."""
        return self._execute(values)[0]

    def _execute(self, values: dict[str, Any]) -> tuple[int, list[Any] | None]:
        """Return the row count, and the first row.

        SQLAlchemy handles a fault as one of its own executions: it reports it without the values,
        and discards a dead connection together with all connections of the pool as old as that.
        """
        with autocommit() as connection:
            statement = self._compiled(connection.dialect, tuple(values))
            bound = {key: to(values[key]) if to else values[key] for key, to in statement.values}
            cursor = connection.connection.cursor()
            try:
                cursor.execute(statement.sql, [*bound.values()] if statement.by_position else bound)
                row = cursor.fetchone() if statement.columns else None
            except BaseException as error:
                connection._handle_dbapi_exception(error, statement.sql, None, cursor, None)
            count = cursor.rowcount
            cursor.close()
        converters = statement.columns
        return count, row and [to(v) if to else v for to, v in zip(converters, row, strict=True)]

    def _compile(self, dialect: Dialect, names: tuple[str, ...]) -> CompiledStatement:
        compiled = cast(SQLCompiler, self._statement.compile(dialect=dialect, column_keys=names))
        values = compiled.positiontup or compiled.binds
        columns = getattr(self._statement, "selected_columns", ())
        return CompiledStatement(
            compiled.string,
            compiled.positional,
            [
                (name, _dialect_type(compiled.binds[name], dialect).bind_processor(dialect))
                for name in values
            ],
            [_dialect_type(column, dialect).result_processor(dialect, None) for column in columns],
        )


def _dialect_type(element: ColumnElement[Any], dialect: Dialect) -> TypeEngine[Any]:
    return element.type.dialect_impl(dialect)
