"""The statements that nearly every request runs: compiled once, then run by the driver alone.

SQLAlchemy's own way makes a context and a result for each execution, a third of what a request
took. The pool, the types and the judgement of faults are SQLAlchemy's still.
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
    """A statement in one dialect, and what converts its values and columns, where need be."""

    sql: str
    by_position: bool
    values: list[tuple[str, Convert | None]]
    columns: list[Convert | None]


class PreparedStatement:
    """A statement, and each use of it a transaction of its own.

    Each of its values is a ``bindparam``; an UPDATE also sets the columns that the values name.
    """

    def __init__(self, statement: ClauseElement):
        self._statement = statement
        self._form = lru_cache(8)(self._compile)

    def fetch_one(self, values: dict[str, Any]) -> list[Any] | None:
        """Answer one row of a SELECT."""
        return self._run(values)[1]

    def execute(self, values: dict[str, Any]) -> int:
        """Run an UPDATE; its row count is the verdict."""
        return self._run(values)[0]

    def _run(self, values: dict[str, Any]) -> tuple[int, list[Any] | None]:
        """Return the row count, and the first row.

        A fault is handed to the method in which SQLAlchemy's own executions end: it words it
        without the values, and has its pool throw away a dead connection and all as old as that.
        """
        with autocommit() as connection:
            form = self._form(connection.dialect, tuple(values))
            given = {name: to(values[name]) if to else values[name] for name, to in form.values}
            cursor = connection.connection.cursor()
            try:
                cursor.execute(form.sql, [*given.values()] if form.by_position else given)
                found = cursor.fetchone() if form.columns else None
            except BaseException as error:
                connection._handle_dbapi_exception(error, form.sql, None, cursor, None)
            count = cursor.rowcount
            cursor.close()
        row = found and [to(it) if to else it for to, it in zip(form.columns, found, strict=True)]
        return count, row

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
