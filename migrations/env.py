"""Run migrations on the application's own engine, all in one transaction where that can be."""

import time
from contextlib import contextmanager

from alembic import context
from flask import current_app

from pycoder.db.base import Base

TURN = "SELECT pg_try_advisory_xact_lock(7241907)"


@contextmanager
def turn(engine):
    """On PostgreSQL, let nodes that start together migrate one after the other.

    The turn is held by a connection of its own, since a revision that builds an index concurrently
    commits before. Whoever waits asks again and again: such a build waits for every statement that
    was begun earlier, and so would never end if one of those waited for it.
    """
    with engine.connect() as connection:
        while not connection.exec_driver_sql(TURN).scalar():
            connection.rollback()
            time.sleep(0.2)
        yield


def run(engine):
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=engine.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def run_patiently(engine):
    from pycoder.db.postgresql import without_timeout

    with without_timeout(), turn(engine):
        run(engine)


engine = current_app.extensions["migrate"].db.engine
if engine.name == "postgresql":
    run_patiently(engine)
else:
    run(engine)
