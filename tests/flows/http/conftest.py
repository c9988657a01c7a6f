"""Fixtures of the flows of HTTP."""

import pytest

from pycoder.extensions import db
from pycoder.models.session import Session
from pycoder.models.user import User


@pytest.fixture
def nobody_registered(rows):
    """Assert after the test that it created no user and no session."""
    yield
    assert rows(db.select(User)) == []
    assert rows(db.select(Session)) == []


@pytest.fixture
def app_on(new_app):
    """Return a function that makes an application on a database."""
    return lambda url, *kind: new_app(*kind, DATABASE_URL=url, RATE_LIMITS="off")
