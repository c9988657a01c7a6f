"""The schema as migrations make it, up and down, with rows in the tables."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from pycoder.db.base import Base
from pycoder.extensions import db
from tests.support.application import migrated
from tests.support.callers import Caller
from tests.support.parameters import on_postgresql


@pytest.fixture
def fresh(new_database, tmp_path):
    """An application on a database of its own, migrated, with Ada in it."""
    with migrated(tmp_path, DATABASE_URL=new_database()) as app, app.app_context():
        assert Caller(app.test_client()).register().status_code == 201
        yield app
        db.session.remove()


def test_the_migrations_make_what_the_models_say(fresh):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_works_with_rows_in_the_tables(fresh):
    downgrade(revision="base")
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0
    upgrade()
    assert Caller(fresh.test_client()).register().status_code == 201
    assert db.session.scalar(select(db.func.count()).select_from(text("users"))) == 1


@on_postgresql
def test_a_database_without_an_encoding_of_its_own_serves_every_language(new_database, tmp_path):
    """``createdb`` makes such a database in a cluster that was created without a locale."""
    url = new_database("ENCODING 'SQL_ASCII' TEMPLATE template0")
    with migrated(tmp_path, DATABASE_URL=url) as app:
        caller = Caller(app.test_client(), "josé@example.com")
        assert caller.register(first_name="Zoë").status_code == 201
        assert caller.user().json["first_name"] == "Zoë"
