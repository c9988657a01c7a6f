"""Reauthentication before sensitive operations (RFC 9470): the password, or a proof."""

import pytest
from sqlalchemy import select

from pycoder.accounts import administration, emails, profile, reauthentication
from pycoder.accounts import passwords as account_passwords
from pycoder.audit import Event
from pycoder.errors import TokenRevoked
from pycoder.models.mail import OutgoingMail
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.user import User
from pycoder.tokens.jwt import decode_token
from pycoder.tokens.state import load_token_state
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import PASSWORD
from tests.support.cookies import Browser
from tests.support.emails import change_address
from tests.support.password_calls import NEW, WRONG, change, prove
from tests.support.requests import problem
from tests.support.tokens import claims_of

WANTED = (401, "insufficient_user_authentication")


LATE = {
    "change": lambda session: account_passwords.change_password(session, PASSWORD, password=NEW),
    "move": lambda session: emails.request_email_change(session, "ada@example.org", password=NEW),
    "rename": lambda session: profile.update_profile(session, username="late"),
    "delete": lambda session: profile.delete_own_account(session, password=NEW),
    "prove": lambda session: reauthentication.create_proof(session, NEW),
}


@pytest.mark.parametrize("name", LATE)
def test_what_was_let_in_before_its_session_ended_does_nothing_after(name, ada, app, rows):
    with app.app_context():
        session = load_token_state(decode_token(ada.tokens.access))
        administration.set_password(administration.find_user(ada.email), NEW)
        with pytest.raises(TokenRevoked):
            LATE[name](session)
    assert rows(select(User.username)) == ["ada"]
    assert "email_change_asked" not in rows(select(OutgoingMail.template))
    assert ada.try_login(password=NEW).status_code == 200


SENSITIVE = {
    "DELETE /api/user/": {},
    "POST /api/email/change/": {"email": "ada@example.org"},
    "POST /api/password/change/": {"new_password": NEW},
}
each_call = pytest.mark.parametrize("name", SENSITIVE)


def call(caller, name, token=None, **proof):
    method, path = name.split()
    if "password" in proof and path == "/api/password/change/":
        proof["current_password"] = proof.pop("password")
    return caller.call(method, path, token, json={**SENSITIVE[name], **proof})


# --- the password


@each_call
def test_a_token_alone_is_not_enough_however_young_it_is(name, ada, rows, trail):
    before = trail()
    answer = call(ada, name)
    assert problem(answer) == WANTED
    challenge = 'Bearer error="insufficient_user_authentication"'
    assert answer.headers["WWW-Authenticate"] == challenge
    assert problem(call(ada, name, ada.login().access)) == WANTED
    assert trail() == [*before, Event.LOGIN_SUCCEEDED]
    assert rows(select(User.email)) == ["ada@example.com"]
    assert rows(select(OutgoingMail.template)) == ["verify_email"]
    assert ada.try_login().status_code == 200


@each_call
def test_the_password_in_the_same_request_is_enough_however_old_the_sign_in_is(name, ada):
    with later(minutes=50):
        assert problem(call(ada, name, password=WRONG)) == (400, "invalid_credentials")
        assert call(ada, name, password=PASSWORD).status_code in (200, 202, 204)


# --- a proof


def test_a_proof_is_made_from_the_password_alone(ada, trail, rows):
    answer = prove(ada)
    assert answer.status_code == 200
    assert answer.json == {"proof": answer.json["proof"], "expires_in": 300}
    assert len(answer.json["proof"]) == 43
    assert trail()[-1] == Event.PROOF_CREATED
    assert answer.json["proof"] not in str(rows(select(PendingAuthentication.digest)))
    assert problem(prove(ada, WRONG)) == (400, "invalid_credentials")
    assert trail()[-1] == Event.PROOF_REFUSED
    assert len(rows(select(PendingAuthentication))) == 1


@each_call
def test_a_proof_takes_the_place_of_the_password(name, ada):
    proof = prove(ada).json["proof"]
    with later(minutes=4, seconds=59):
        assert call(ada, name, proof=proof).status_code in (200, 202, 204)


def test_a_proof_can_be_used_again_because_an_answer_may_be_lost(ada):
    proof = prove(ada).json["proof"]
    for _ in range(2):
        assert call(ada, "POST /api/email/change/", proof=proof).status_code == 202


@each_call
def test_a_proof_is_good_for_five_minutes_and_its_session(name, ada, bob, app):
    proof, others = prove(ada).json["proof"], prove(bob).json["proof"]
    with later(minutes=5):
        expired = call(ada, name, proof=proof)
    assert problem(expired) == WANTED
    assert "expired" in expired.json["detail"]
    for wrong in (others, proof[:-1], "x", "é", PASSWORD):
        assert problem(call(ada, name, proof=wrong)) == WANTED
    other = Caller(app.test_client())
    other.login()
    assert problem(call(other, name, proof=proof)) == WANTED
    assert call(ada, name, proof=proof).status_code in (200, 202, 204)


def test_a_cookie_session_proves_itself_as_well(app):
    grace = Browser(app, "grace@example.com")
    grace.register()
    body = {"password": PASSWORD}
    assert grace.call("POST", "/api/reauthenticate/", csrf="x", json=body).status_code == 403
    proof = grace.call("POST", "/api/reauthenticate/", json=body).json["proof"]
    assert grace.call("DELETE", "/api/user/", json={"proof": proof}).status_code == 204


ENDINGS = {
    "password": lambda ada, app, mails: change(ada),
    "address": lambda ada, app, mails: change_address(ada, "ada@example.org", mails),
    "session": lambda ada, app, mails: ada.logout(access=ada.tokens.access),
    "account": lambda ada, app, mails: reactivate(app, ada.email),
}


def reactivate(app, email):
    with app.app_context():
        for active in (False, True):
            administration.set_active(administration.find_user(email), active)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_proof_ends_with_its(name, ada, app, mails):
    proof = prove(ada).json["proof"]
    ENDINGS[name](ada, app, mails)
    answer = call(ada, "DELETE /api/user/", proof=proof)
    assert problem(answer) in (WANTED, (401, "token_revoked"))
    ada.email = "ada@example.org" if name == "address" else ada.email
    ada.password = NEW if name == "password" else PASSWORD
    ada.login()
    assert problem(call(ada, "DELETE /api/user/", proof=proof)) == WANTED
    assert ada.user().status_code == 200


def test_an_account_has_five_proofs_at_most(ada, rows):
    proofs = []
    for seconds in range(6):
        with later(seconds=seconds):
            proofs.append(prove(ada).json["proof"])
    assert len(rows(select(PendingAuthentication))) == 5
    assert problem(call(ada, "POST /api/email/change/", proof=proofs[0])) == WANTED
    assert call(ada, "POST /api/email/change/", proof=proofs[1]).status_code == 202


def test_wrong_passwords_for_a_proof_count_as_those_of_the_other_calls(ada, trail):
    assert [prove(ada, WRONG).status_code for _ in range(10)] == [400] * 10
    assert [prove(ada).status_code, change(ada).status_code] == [429] * 2


def test_expired_proofs_are_deleted_by_ordinary_writes(ada, rows):
    prove(ada)
    with later(hours=1, minutes=5):
        ada.login()
    assert rows(select(PendingAuthentication)) == []


def test_the_export_names_proofs_without_their_value(ada, rows):
    proof = prove(ada).json["proof"]
    answer = ada.get("/api/user/export/")
    [pending] = answer.json["pending_authentications"]
    assert set(pending) == {"kind", "expires_at"}
    assert pending["kind"] == "proof"
    for secret in (proof, *rows(select(PendingAuthentication.digest))):
        assert secret not in answer.text


def test_the_next_access_token_says_when_the_user_proved_it(ada):
    login = claims_of(ada.tokens.access)["auth_time"]
    with later(minutes=2):
        assert claims_of(ada.refresh().json["access"])["auth_time"] == login
        ada.login()
    with later(minutes=4):
        assert prove(ada).status_code == 200
        renewed = claims_of(ada.refresh().json["access"])
        assert renewed["auth_time"] == renewed["iat"] >= login + 4 * 60
