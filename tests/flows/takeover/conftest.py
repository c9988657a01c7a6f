"""Fixtures of takeovers."""

import pytest
from sqlalchemy import select

from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.simplejwt import earlier_token, start


@pytest.fixture
def takeover(flask):
    """A takeover that runs, of every well-signed token."""
    done = start(flask, "--key-only")
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def ada_id(ada, rows):
    return rows(select(User.id).where(User.email == ada.email))[0]


@pytest.fixture
def token(ada_id, takeover):
    """A refresh token that the platform has issued to Ada."""
    return earlier_token(ada_id)


@pytest.fixture
def sessions(ada_id, rows):
    """Return a function that lists the live sessions of Ada that were taken over."""
    mine = (Session.user_id == ada_id, Session.amr == "takeover", Session.revoked_at.is_(None))
    return lambda: rows(select(Session.id).where(*mine))


@pytest.fixture
def reasons(rows):
    """Return a function that lists the reasons of the refused tokens."""
    refused = AuditEvent.event == "token.adoption_refused"
    return lambda: rows(select(AuditEvent.reason).where(refused).order_by(AuditEvent.id))
