"""Run migrations on the application's own engine, each revision in one transaction."""

from alembic import context
from flask import current_app

from pycoder.extensions import Base

# on PostgreSQL, nodes that start together migrate one after the other
LOCK = "SELECT pg_advisory_xact_lock(7241906)"


def run():
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=engine.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            if engine.name == "postgresql":
                connection.exec_driver_sql(LOCK)
            context.run_migrations()


def run_patiently():
    from pycoder.postgres import patience

    with patience():
        run()


if current_app.extensions["migrate"].db.engine.name == "postgresql":
    run_patiently()
else:
    run()
