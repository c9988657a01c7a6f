"""``REFRESH_ROTATION=until_used``, and the hint to it where ``strict`` ends a session."""

import logging
from functools import partial

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OutgoingMail
from pycoder.models.session import Session
from pycoder.sessions.refresh import UNUSED
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.races import at_once
from tests.support.tokens import claims_of

REUSED = select(AuditEvent.reason).where(AuditEvent.event == Event.SESSION_REUSED)


@pytest.fixture
def until_used(setting):
    setting("REFRESH_ROTATION", "until_used")


def successor_of(answer):
    assert answer.status_code == 200, answer.json
    return claims_of(answer.json["refresh"])["jti"]


def reused_with(successor):
    return REGISTRY.get_sample_value("pycoder_sessions_reused_total", {"successor": successor}) or 0


def test_a_client_that_keeps_its_first_token_stays_signed_in(ada, rows, until_used):
    first = ada.login().refresh
    successors = set()
    for hour in range(1, 160, 15):
        with later(hours=hour):
            answer = ada.refresh(first)
            successors.add(successor_of(answer))
            assert ada.user(answer.json["access"]).status_code == 200
    assert len(successors) == 1
    assert rows(select(func.count(Session.id))) == [2]
    with later(days=7, seconds=1):
        assert ada.refresh(first).json["code"] == "token_expired"


def test_the_use_of_a_successor_makes_reuse_of_what_was_before(ada, rows, until_used):
    first = ada.login().refresh
    second = ada.refresh(first).json["refresh"]
    third = ada.refresh(second).json["refresh"]
    assert successor_of(ada.refresh(second)) == claims_of(third)["jti"]
    before = reused_with("used")
    assert ada.refresh(first).json["code"] == "token_reused"
    assert ada.refresh(third).json["code"] == "token_revoked"
    assert ada.refresh(second).json["code"] == "token_revoked"
    assert rows(REUSED) == [None]
    assert reused_with("used") == before + 1


def test_simultaneous_uses_of_a_token_have_one_successor(app, ada, no_limits, until_used):
    token = ada.login().refresh
    for _ in range(5):
        answers = at_once([partial(Caller(app.test_client()).refresh, token) for _ in range(8)])
        assert len({successor_of(answer) for answer in answers}) == 1
        token = answers[-1].json["refresh"]


def test_the_token_before_races_its_successor_and_nobody_gets_a_used_one(
    app, ada, no_limits, until_used
):
    """The token before is repeated in time, or it is reuse, which ends the session for both."""
    for _ in range(10):
        first = ada.login().refresh
        second = ada.refresh(first).json["refresh"]
        tokens = [first, second] * 2
        answers = at_once([partial(Caller(app.test_client()).refresh, token) for token in tokens])
        late = [answer for answer in answers[::2] if answer.status_code != 200]
        assert {answer.json["code"] for answer in late} <= {"token_reused"}
        newest = {successor_of(answer) for answer in answers[1::2] if answer.status_code == 200}
        assert len(newest) <= 1
        after = ada.refresh(second)
        assert after.json.get("code") == ("token_revoked" if late else None)


def test_two_tabs_with_a_copy_each_go_on_together(ada, until_used):
    tabs = [ada.login().refresh] * 2
    for _ in range(10):
        tabs = [ada.refresh(token).json["refresh"] for token in tabs]
        assert claims_of(tabs[0])["jti"] == claims_of(tabs[1])["jti"]


@pytest.mark.parametrize(("first_key", "key"), [("first-key", None), ("first-key", "other-key")])
def test_no_key_is_needed(ada, first_key, key, until_used):
    token = ada.login().refresh
    successor = successor_of(ada.refresh(token, key=first_key))
    with later(minutes=6):
        assert successor_of(ada.refresh(token, key=key)) == successor


def test_the_previous_token_is_valid_wherever_a_refresh_token_is(ada, until_used):
    first = ada.login().refresh
    second = ada.refresh(first).json
    assert ada.verify(first).status_code == 200
    assert ada.logout(refresh=first).status_code == 204
    assert ada.user(second["access"]).json["code"] == "token_revoked"
    assert ada.verify(first).json["code"] == "token_revoked"
    assert ada.refresh(first).json["code"] == "token_revoked"


def test_the_session_was_used_when_its_previous_token_was(ada, until_used):
    first = ada.login().refresh
    ada.refresh(first)
    with later(hours=3):
        access = ada.refresh(first).json["access"]
        one, other = ada.get("/api/sessions/", access).json
        assert one["current"]
        assert one["last_used_at"] > other["last_used_at"]
        assert one["last_used_at"] > one["created_at"]


@pytest.mark.parametrize("rotation", ["strict", "until_used"])
def test_repeats_count_as_refreshes(ada, setting, rotation):
    setting("REFRESH_ROTATION", rotation)
    token = ada.login().refresh
    with later(seconds=1):
        answers = [ada.refresh(token, key="one-and-the-same").status_code for _ in range(61)]
        assert answers == [200] * 60 + [429]
    with later(seconds=62):
        assert ada.refresh(token, key="one-and-the-same").status_code == 200


def test_strict_hints_at_clients_that_do_not_store_the_new_token(ada, flask, rows, caplog):
    assert "REFRESH_ROTATION=until_used" not in flask("doctor").output
    first = ada.login().refresh
    ada.refresh(first)
    before = reused_with("unused")
    with caplog.at_level(logging.WARNING):
        assert ada.refresh(first).json["code"] == "token_reused"
        assert ada.refresh(first).json["code"] == "token_reused"
    assert rows(REUSED) == [UNUSED]
    assert reused_with("unused") == before + 1
    hints = [line for line in caplog.messages if "REFRESH_ROTATION=until_used" in line]
    assert len(hints) == 1
    assert rows(select(OutgoingMail.template)).count("session_reused") == 1
    doctor = flask("doctor")
    assert doctor.exit_code == 0
    assert "1 sessions ended in 7 days whose client may need" in doctor.output
    with later(days=8):
        assert "REFRESH_ROTATION=until_used" not in flask("doctor").output


def test_strict_does_not_hint_where_the_successor_was_used(ada, rows, caplog):
    first = ada.login().refresh
    ada.refresh(ada.refresh(first).json["refresh"])
    assert ada.refresh(first).json["code"] == "token_reused"
    assert rows(REUSED) == [None]
    assert "REFRESH_ROTATION" not in caplog.text
