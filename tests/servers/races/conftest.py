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
    """An application of another process than the server's, on the same database."""
    url = server.env["DATABASE_URL"]
    with application(tmp_path_factory.mktemp("operator"), DATABASE_URL=url) as app:
        yield app


@pytest.fixture
def found(operator):
    """Return a function that reads one value from the database as it is now."""

    def read(statement):
        with operator.app_context():
            return db.session.scalar(statement)

    return read
