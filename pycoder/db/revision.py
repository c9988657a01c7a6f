"""The schema revision of the database."""

from functools import cache

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from pycoder.extensions import db, migrate


def is_up_to_date() -> bool:
    """Return whether every migration has been applied to the database."""
    with db.engine.connect() as connection:
        applied = MigrationContext.configure(connection).get_current_revision()
    return applied == _head_revision(current_app.extensions["migrate"].directory)


@cache
def _head_revision(directory: str) -> str | None:
    """Return the newest revision in the migrations folder."""
    return ScriptDirectory.from_config(migrate.get_config(directory)).get_current_head()
