"""Applications that tests make, with their databases."""

import contextlib
from pathlib import Path

from flask_migrate import upgrade

from config import ProductionConfig, TestingConfig
from pycoder import create_app
from pycoder.db.base import Base
from pycoder.extensions import db
from tests.support.constants import PRODUCTION, SECRET_KEY


@contextlib.contextmanager
def application(folder, kind=TestingConfig, **settings):
    """Make an application, and close its connections at the end."""
    required = {"SECRET_KEY": SECRET_KEY} | (PRODUCTION if kind is ProductionConfig else {})
    config = kind(required | settings, Path(folder))
    if kind is ProductionConfig:  # its hashes take longest, and would wait for an idle core
        config.HASHING_GIVES_WAY = False
    app = create_app(config)
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@contextlib.contextmanager
def migrated(folder, kind=TestingConfig, **settings):
    """Make an application whose database has all tables."""
    with application(folder, kind, **settings) as app:
        with app.app_context():
            upgrade()
        yield app


def empty_tables(app):
    """Empty all tables but that of the signing keys, which the application caches."""
    tables = reversed(Base.metadata.sorted_tables)
    statements = [str(table.delete()) for table in tables if table.name != "signing_keys"]
    with app.app_context(), db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # which executes all of them in one round trip
            statements = [";".join(statements)]
        for statement in statements:
            connection.exec_driver_sql(statement)
    return app


def change(app, statement):
    """Execute a statement in a transaction of its own."""
    with app.app_context():
        db.session.execute(statement)
        db.session.commit()
