"""Calls of an account beside its deletion, its deactivation and undos from its mailbox."""

from functools import partial

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.mail import links
from pycoder.mail.links import Purpose
from pycoder.models.audit import AuditEvent
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.constants import PASSWORD, SOAK
from tests.support.races import NEW_PASSWORD, at_once, live_sessions_of, outcome

pytestmark = pytest.mark.untraced  # the server is another process

PASSWORDS = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
OWN = {"password": PASSWORD}
CALLS = {
    "resend": ("POST", "email/verify/resend/", None),
    "prove": ("POST", "reauthenticate/", OWN),
    "move": ("POST", "email/change/", {"email": "moved@example.org", **OWN}),
    "change": ("POST", "password/change/", PASSWORDS),
    "rename": ("PATCH", "user/", {"first_name": "Ada"}),
    "end others": ("DELETE", "sessions/", None),
    "export": ("GET", "user/export/", None),
    "log in": ("POST", "login/", OWN),
    "delete": ("DELETE", "user/", OWN),
}
GOOD = {200, 202, 204, "token_revoked"}
LOSES = {  # what else a call is told, beside others of its kind
    "log in": {"invalid_credentials"},
    "change": {"invalid_credentials"},
    "export": {"too_many_requests"},
}


def call(api, name, person):
    method, path, body = CALLS[name]
    if name == "log in":
        return api.try_login(person.email)
    return api.call(method, path, body, person.tokens.access)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_beside_the_deletion_succeeds_or_finds_no_session(api, scalar, name):
    expected = GOOD | LOSES.get(name, set())
    for _ in range(8 * SOAK):
        person = api.register()
        user_id = scalar(select(User.id).where(User.email == person.email))
        calls = [partial(call, api, name, person)] * 3 + [partial(call, api, "delete", person)]
        answers = [outcome(answer) for answer in at_once(calls)]
        assert set(answers) <= expected
        if name != "change":
            assert 204 in answers
            assert scalar(select(User.id).where(User.id == user_id)) is None
            for table in (Session, PendingAuthentication):
                assert scalar(select(func.count()).where(table.user_id == user_id)) == 0


def test_a_call_beside_a_deactivation_leaves_no_session_and_no_proof(api, operator, scalar):
    for _ in range(5 * SOAK):
        person = api.register()

        def deactivate(email=person.email):
            with operator.app_context():
                administration.set_active(administration.find_user(email), False)

        names = ("prove", "change", "move", "resend")
        *answers, _ = at_once([*(partial(call, api, name, person) for name in names), deactivate])
        assert {outcome(answer) for answer in answers} <= GOOD | {"invalid_credentials"}
        assert scalar(live_sessions_of(person.email)) == 0
        user_id = scalar(select(User.id).where(User.email == person.email))
        proofs = select(func.count()).where(PendingAuthentication.user_id == user_id)
        assert scalar(proofs) == 0


def test_of_twenty_undos_at_once_one_succeeds_beside_what_a_thief_does(api, operator, scalar):
    for _ in range(3 * SOAK):
        person = api.register()
        user_id = scalar(select(User.id).where(User.email == person.email))
        former = f"former-{person.email}"
        with operator.app_context():
            links.prepare_undo(user_id, former, reserve=False)
            secret = links.issue_undo(user_id, former)
            db.session.commit()
        undos = [partial(api.call, "POST", "email/undo/", {"token": secret})] * 20
        thief = [partial(call, api, name, person) for name in ("prove", "change", "resend")]
        answers = [outcome(answer) for answer in at_once([*undos, *thief])]
        assert sorted(map(str, answers[:20])) == ["204"] + ["link_invalid"] * 19
        assert set(answers[20:]) <= GOOD | {"invalid_credentials"}
        assert scalar(select(User.email).where(User.id == user_id)) == former
        assert scalar(live_sessions_of(former)) == 0
        undone = (AuditEvent.user_id == user_id, AuditEvent.event == Event.EMAIL_CHANGE_UNDONE)
        assert scalar(select(func.count(AuditEvent.id)).where(*undone)) == 1
        assert outcome(api.try_login(former, NEW_PASSWORD)) == "invalid_credentials"


def test_of_twenty_undos_of_a_first_factor_at_once_one_succeeds(api, operator, scalar):
    for _ in range(3 * SOAK):
        person = api.register()
        user_id = scalar(select(User.id).where(User.email == person.email))
        with operator.app_context():
            links.prepare_factors_undo(user_id, person.email)
            secret = links.issue_undo(user_id, person.email, Purpose.UNDO_FACTORS)
            db.session.commit()
        undos = [partial(api.call, "POST", "factors/undo/", {"token": secret})] * 20
        thief = [partial(call, api, name, person) for name in ("prove", "change", "resend")]
        answers = [outcome(answer) for answer in at_once([*undos, *thief])]
        assert sorted(map(str, answers[:20])) == ["204"] + ["link_invalid"] * 19
        assert set(answers[20:]) <= GOOD | {"invalid_credentials"}
        assert scalar(live_sessions_of(person.email)) == 0
        undone = (AuditEvent.user_id == user_id, AuditEvent.event == Event.FACTORS_UNDONE)
        assert scalar(select(func.count(AuditEvent.id)).where(*undone)) == 1
        assert outcome(api.try_login(person.email, NEW_PASSWORD)) == "invalid_credentials"
