"""A key drill that fails. One that passes is part of servers/test_key_rotation.py."""

import json

from sqlalchemy import select

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.application import migrated
from tests.support.ports import free_port


def test_a_drill_at_a_service_that_is_away_fails_and_leaves_no_account(new_database, tmp_path):
    settings = {"DATABASE_URL": new_database(), "JWT_ACCESS_TOKEN_EXPIRES": "1"}
    with migrated(tmp_path, **settings) as app:
        url = f"http://127.0.0.1:{free_port()}"
        done = app.test_cli_runner().invoke(args=["keys", "drill", "--json", "--url", url])
        made, verdict = map(json.loads, done.stdout.splitlines())
        with app.app_context():
            assert db.session.scalars(select(User.id)).all() == []
            assert db.session.scalars(select(Session.id)).all() == []
            events = db.session.scalars(select(AuditEvent.event).order_by(AuditEvent.id)).all()
    assert (done.exit_code, done.stderr) == (1, "Error: the drill failed\n")
    assert made["made"]
    assert verdict["passed"] is False
    assert any(refusal.startswith("/api/user/: ") for refusal in verdict["refused"])
    assert events[-2:] == [Event.KEY_ROTATED, Event.USER_DELETED]
