"""Prepared statements."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import String, bindparam, column, select, table, update
from sqlalchemy.exc import DBAPIError

from pycoder.clock import now
from pycoder.db.prepared import PreparedStatement
from pycoder.db.queries import fetch_one
from pycoder.extensions import db
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.tokens.state import _TOKEN_STATE, load_token_state


@pytest.fixture
def session(app, rows):
    """Store a user and a session; return the session's row."""
    with app.app_context():
        user = User(email="ada@example.com", email_key="ada@example.com", password_hash="")
        user.username = user.username_key = "ada"
        db.session.add(user)
        db.session.flush()
        expiry = now() + timedelta(days=7)
        db.session.add(Session(user_id=user.id, refresh_jti="x", expires_at=expiry, status_idx=1))
        db.session.commit()
    return rows(select(Session))[0]


def load(app, values):
    with app.app_context():
        return load_token_state({**values, "sid": str(values["sid"])})


def test_a_prepared_select_answers_what_sqlalchemy_answers(app, session):
    values = {"jti": "none", "sid": session.id, "user_id": session.user_id}
    with app.app_context():
        prepared, usual = _TOKEN_STATE.fetch_one(values), fetch_one(_TOKEN_STATE._statement, values)
        assert _TOKEN_STATE.fetch_one({**values, "sid": uuid4()}) is None
    assert prepared == list(usual)
    assert [type(value) for value in prepared] == [type(value) for value in usual]
    assert load(app, values).created_at == session.created_at


def test_a_prepared_update_sets_what_its_values_name_and_counts_the_rows(app, session, rows):
    statement = PreparedStatement(update(Session).where(Session.id == bindparam("sid")))
    changes = {"rotated_at": now(), "idempotency_key": None, "window_count": 7}
    with app.app_context():
        assert statement.execute({"sid": uuid4(), **changes}) == 0
        assert statement.execute({"sid": session.id, **changes}) == 1
        assert statement.execute({"sid": session.id, "previous_jti": "before"}) == 1
    (after,) = rows(select(Session))
    found = {name: getattr(after, name) for name in changes}
    assert found == changes
    assert (after.previous_jti, after.refresh_jti) == ("before", session.refresh_jti)


def test_a_fault_is_told_without_the_values(app):
    nowhere = select(column("it")).select_from(table("nowhere"))
    statement = PreparedStatement(nowhere.where(column("it") == bindparam("value", type_=String)))
    with app.app_context(), pytest.raises(DBAPIError) as fault:
        statement.fetch_one({"value": "correct horse"})
    assert "nowhere" in str(fault.value)
    assert "correct horse" not in str(fault.value)
