"""Run the migrations on the engine of the application, in one transaction."""

import time
from contextlib import contextmanager

from alembic import context
from alembic.util import CommandError
from flask import current_app
from sqlalchemy.exc import OperationalError

from pycoder.db.base import Base

LOCK = "SELECT pg_try_advisory_xact_lock(7241907)"


@contextmanager
def migration_lock(engine):
    """Serialize the migrations of nodes that start together, on PostgreSQL.

    A connection of its own has the advisory lock, because a revision that builds an index
    concurrently commits before the build. A waiting node polls for the lock. Such a build waits for
    all statements that began earlier, so it would never end if one of them waited for the lock.
    """
    with engine.connect() as connection:
        while not connection.exec_driver_sql(LOCK).scalar():
            connection.rollback()
            time.sleep(0.2)
        yield


def check_connection(engine):
    """Raise ``CommandError``, which is one line, if the database does not answer."""
    try:
        engine.connect().close()
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise CommandError(f"the database does not answer: {reason}") from None


def run(engine):
    """Run the migrations."""
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=engine.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def run_on_postgresql(engine):
    """Run the migrations under the lock, and without the timeout of requests."""
    from pycoder.db.postgresql import without_timeout

    with without_timeout(), migration_lock(engine):
        run(engine)


engine = current_app.extensions["migrate"].db.engine
check_connection(engine)
if engine.name == "postgresql":
    run_on_postgresql(engine)
else:
    run(engine)
