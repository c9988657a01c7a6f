"""A real server with three workers, and an operator on the same database."""

import pytest

from pycoder.extensions import db
from tests.support.application import application
from tests.support.races import Api
from tests.support.servers import Server


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("races")
    settings = {"RATE_LIMITS": "off", "BCRYPT_ROUNDS": 4}
    with Server(folder, new_database(), workers=3, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(server):
    return Api(server)


@pytest.fixture(scope="module")
def operator(server, tmp_path_factory):
    """An application on the server's database, in the process of the tests."""
    url = server.env["DATABASE_URL"]
    with application(tmp_path_factory.mktemp("operator"), DATABASE_URL=url) as app:
        yield app


@pytest.fixture
def scalar(operator):
    """Return a function that reads one current value from the database."""

    def read(statement):
        with operator.app_context():
            return db.session.scalar(statement)

    return read
