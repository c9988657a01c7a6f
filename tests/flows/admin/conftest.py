"""Fixtures of the admin API."""

import pytest

from tests.support.callers import Caller


@pytest.fixture
def root(app, flask):
    """An administrator, ``root``."""
    caller = Caller(app.test_client(), "root@example.com", "a third long pass phrase")
    assert caller.register().status_code == 201
    assert flask("users", "grant", caller.email, "admin").exit_code == 0
    caller.login()
    return caller


@pytest.fixture
def act(root):
    """Return a function that calls the admin API as ``root``, with the password in the body."""

    def call(method, path, **body):
        json = {"password": root.password, **body}
        return root.call(method, f"/api/admin/{path}", json=json)

    return call


@pytest.fixture
def id_of(root):
    """Return a function that looks an account up by its address, and returns its id."""

    def find(email):
        [found] = root.get("/api/admin/users/", query_string={"q": email}).json["items"]
        return found["id"]

    return find
