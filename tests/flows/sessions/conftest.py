"""Fixtures of sessions by cookie."""

import pytest

from pycoder import db
from pycoder.models.session import Session
from tests.support.cookies import Browser


@pytest.fixture
def grace(app):
    """A browser with an account and a session by cookie."""
    browser = Browser(app, "grace@example.com")
    assert browser.register().status_code == 201
    return browser


@pytest.fixture
def live(rows):
    """Return a function that counts the live sessions."""
    return lambda: len(rows(db.select(Session.id).where(Session.revoked_at.is_(None))))
