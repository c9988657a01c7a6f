"""Applications that tests make, with their databases."""

import contextlib
from pathlib import Path

from flask_migrate import upgrade

from config import TestingConfig
from pycoder import create_app
from pycoder.db.base import Base
from pycoder.extensions import db
from tests.support.constants import SECRET_KEY


@contextlib.contextmanager
def application(folder, kind=TestingConfig, **settings):
    """Make an application of its own; its connections end with it."""
    app = create_app(kind({"SECRET_KEY": SECRET_KEY} | settings, Path(folder)))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@contextlib.contextmanager
def migrated(folder, kind=TestingConfig, **settings):
    """Make an application of its own, with all tables."""
    with application(folder, kind, **settings) as app:
        with app.app_context():
            upgrade()
        yield app


def emptied(app):
    """Empty the tables of an application, but for the keys that it has in its memory, too."""
    with app.app_context(), db.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name != "signing_keys":
                connection.execute(table.delete())
    return app


def change(app, statement):
    with app.app_context():
        db.session.execute(statement)
        db.session.commit()
