"""Fixtures of the flows of accounts."""

import pytest
from sqlalchemy import select, update

from pycoder.extensions import db
from pycoder.models.user import User
from tests.support.password_calls import ask


@pytest.fixture
def stored(app, rows):
    """Return a function that stores a password hash of ``ada``, and one that reads it."""

    def put(hashed):
        with app.app_context():
            db.session.execute(update(User).values(password_hash=hashed))
            db.session.commit()

    return put, lambda: rows(select(User.password_hash))[0]


@pytest.fixture
def link(ada, mails):
    """The token of a reset link that was mailed to ``ada``."""
    mails()
    assert ask(ada).status_code == 202
    [mail] = mails()
    return mail.token
