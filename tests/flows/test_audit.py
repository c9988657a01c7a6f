"""The audit trail."""

import json

from pycoder.audit import Event
from tests.support.callers import Caller


def test_the_trail_says_who_when_and_from_where(ada, rows):
    from pycoder.extensions import db
    from pycoder.models.audit import AuditEvent

    stranger = Caller(ada.client, "typed-a-password-here", "x" * 8)
    headers = {"User-Agent": "Firefox", "X-Request-ID": "request-4711"}
    body = {"email": stranger.email, "password": stranger.password}
    assert ada.client.post("/api/login/", json=body, headers=headers).status_code == 400
    event = rows(db.select(AuditEvent).order_by(AuditEvent.id.desc()))[0]
    assert (event.event, event.reason) == (Event.LOGIN_REFUSED, "unknown account")
    assert (event.ip, event.user_agent) == ("127.0.0.1", "Firefox")
    assert (event.request_id, event.user_id) == ("request-4711", None)
    assert event.at.utcoffset().total_seconds() == 0
    assert stranger.email not in str(vars(event))


def test_the_tail_of_the_trail_is_printed(ada, bob, app):
    tail = app.test_cli_runner().invoke
    assert "event=user.registered" in tail(args=["audit", "tail"]).output
    lines = tail(args=["audit", "tail", "--json", "--user", "bob"]).output.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["user.registered"]
    assert len(tail(args=["audit", "tail", "-n", "1"]).output.splitlines()) == 1
