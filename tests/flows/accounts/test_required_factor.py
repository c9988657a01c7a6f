"""Logins where the service requires a second factor that the account lacks."""

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.models.mfa import RecoveryCode, Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from tests.support.callers import Caller
from tests.support.login_attempts import visitor
from tests.support.second_factors import (
    Authenticator,
    confirm_address,
    enrol,
    half,
    prove,
    second_step,
)
from tests.support.tokens import claims_of


@pytest.fixture(autouse=True)
def required(setting):
    setting("SECOND_FACTOR", "required")


@pytest.fixture
def ada(ada, app, clock):
    confirm_address(app)
    return ada


def set_up(caller, ticket):
    answer = caller.client.post("/api/login/enrol/", json={"ticket": ticket})
    assert answer.status_code == 200, answer.json
    return Authenticator(answer.json["secret"])


def code_of(answer):
    return answer.status_code, answer.json["code"]


def test_a_login_without_a_factor_gets_a_ticket_for_enrolment(ada, clock, trail, mails):
    answer = ada.try_login()
    assert code_of(answer) == (403, "second_factor_required")
    assert (answer.json["methods"], answer.json["enrol"]) == ([], True)
    assert answer.json["expires_in"] == 600
    assert "tokens" not in answer.json
    mails()
    authenticator = set_up(ada, answer.json["ticket"])
    done = second_step(ada, answer.json["ticket"], code=authenticator.code())
    assert done.status_code == 200
    assert len(set(done.json["recovery_codes"])) == 10
    assert claims_of(ada.tokens.access)["amr"] == ["pwd", "otp", "mfa"]
    factors = ada.get("/api/factors/").json
    assert (factors["required"], factors["recovery_codes_left"]) == (True, 10)
    assert trail()[-3:] == [Event.LOGIN_HALF, Event.FACTOR_ADDED, Event.LOGIN_SUCCEEDED]
    assert [mail.to for mail in mails()] == [ada.email]
    ticket = half(ada)
    clock.shift(30)
    again = second_step(ada, ticket, code=authenticator.code())
    assert (again.status_code, "recovery_codes" in again.json) == (200, False)


def test_the_first_code_is_used_up_and_other_sessions_end(ada, clock):
    before, ticket = ada.tokens, half(ada)
    code = set_up(ada, ticket).code()
    assert second_step(ada, ticket, code=code).status_code == 200
    assert ada.user(before.access).json["code"] == "token_revoked"
    assert code_of(second_step(ada, half(ada), code=code)) == (400, "invalid_code")


def test_the_app_of_a_ticket_is_the_same_when_asked_again(ada):
    ticket, other = half(ada), half(ada)
    first, again, another = (set_up(ada, one) for one in (ticket, ticket, other))
    assert first.key == again.key != another.key
    assert code_of(second_step(ada, ticket, code=another.code())) == (400, "invalid_code")
    assert second_step(ada, ticket, code=first.code()).status_code == 200


def test_of_two_tickets_the_first_that_succeeds_ends_the_other(ada, rows):
    ticket, other = half(ada), half(ada)
    apps = set_up(ada, ticket), set_up(ada, other)
    assert second_step(ada, ticket, code=apps[0].code()).status_code == 200
    assert code_of(second_step(ada, other, code=apps[1].code())) == (400, "ticket_invalid")
    assert rows(select(func.count(Totp.user_id))) == [1]
    assert rows(select(func.count(RecoveryCode.digest))) == [10]
    assert ada.user().status_code == 200


def test_a_factor_that_appears_meanwhile_ends_the_ticket(ada, app, rows):
    session = ada.tokens
    ticket = half(ada)
    late = set_up(ada, ticket)
    ada.tokens = session
    enrol(ada, app)
    assert code_of(second_step(ada, ticket, code=late.code())) == (400, "ticket_invalid")
    assert ada.try_login().json["methods"] == ["totp", "recovery_code"]
    gone = ada.client.post("/api/login/enrol/", json={"ticket": ticket})
    assert code_of(gone) == (400, "ticket_invalid")


def test_a_ticket_has_five_tries_and_ten_minutes(ada, clock, rows):
    ticket = half(ada)
    authenticator = set_up(ada, ticket)
    wrong = [second_step(ada, ticket, code=authenticator.wrong_code()) for _ in range(5)]
    assert {code_of(answer) for answer in wrong} == {(400, "invalid_code")}
    assert code_of(second_step(ada, ticket, code=authenticator.code())) == (400, "ticket_invalid")
    ticket = half(ada)
    authenticator = set_up(ada, ticket)
    clock.shift(600)
    assert code_of(second_step(ada, ticket, code=authenticator.code())) == (400, "ticket_invalid")
    assert rows(select(Totp.user_id)) == []


def test_a_thief_of_the_password_stops_no_enrolment_of_the_owner(ada, app, clock):
    """Wrong codes of an app that the thief adds are no guesses at a secret."""
    thief = visitor(app, ip="203.0.113.8")
    for _ in range(11):
        ticket = half(thief)
        wrong = set_up(thief, ticket).wrong_code()
        for _ in range(5):
            assert code_of(second_step(thief, ticket, code=wrong)) == (400, "invalid_code")
        asked = thief.client.post("/api/login/enrol/", json={"ticket": ticket})
        assert code_of(asked) == (400, "ticket_invalid")
    owner = visitor(app, ip="198.51.100.7")
    ticket = half(owner)
    assert second_step(owner, ticket, code=set_up(owner, ticket).code()).status_code == 200


def test_a_ticket_of_one_kind_is_none_of_the_other(ada, app, clock, setting):
    enrolment = half(ada)
    body = {"ticket": enrolment, "recovery_code": "0000-0000-0000-0000-0000-0000"}
    assert code_of(ada.client.post("/api/login/second-step/", json=body)) == (400, "invalid_code")
    enrol(ada, app)
    step = half(ada)
    answer = ada.client.post("/api/login/enrol/", json={"ticket": step})
    assert code_of(answer) == (400, "ticket_invalid")


def test_an_unconfirmed_address_is_told_the_next_step(bob, rows, app, mails):
    answer = bob.try_login()
    assert code_of(answer) == (403, "email_unverified")
    assert "set a new password by a mailed link" in answer.json["detail"]
    assert rows(select(PendingAuthentication.digest)) == []
    assert rows(select(func.count(Session.id))) == [1]  # of the registration
    mails()
    assert bob.client.post("/api/password/reset/", json={"email": bob.email}).status_code == 202
    [token] = [mail.token for mail in mails() if "/reset-password" in mail.text]
    bob.password = "quite another pass phrase"
    body = {"token": token, "new_password": bob.password}
    assert bob.client.post("/api/password/reset/confirm/", json=body).status_code == 204
    assert bob.try_login().json["enrol"] is True


def test_a_wrong_password_learns_nothing(ada, bob):
    for caller in (ada, bob):
        answer = caller.try_login(password="some other pass phrase")
        assert code_of(answer) == (400, "invalid_credentials")


def test_a_registration_signs_in_and_says_what_is_required(app):
    caller = Caller(app.test_client(), "carol@example.com")
    assert caller.register().status_code == 201
    assert claims_of(caller.tokens.access)["acr"] == "aal1"
    assert caller.get("/api/factors/").json["required"] is True


@pytest.mark.parametrize("value", ["optional", "admins"])
def test_other_settings_require_none(value, ada, setting):
    setting("SECOND_FACTOR", value)
    assert ada.try_login().status_code == 200
    assert ada.get("/api/factors/").json["required"] is False


def test_without_the_last_factor_the_next_login_adds_one(ada, app, clock):
    authenticator, _ = enrol(ada, app)
    clock.shift(30)
    proof = prove(ada, code=authenticator.code())
    assert ada.call("DELETE", "/api/factors/totp/", json={"proof": proof}).status_code == 204
    assert ada.user().status_code == 200
    assert ada.try_login().json["enrol"] is True


def test_a_login_by_cookies_stays_one(ada):
    ticket = half(ada, transport="cookie")
    body = {"ticket": ticket, "code": set_up(ada, ticket).code(), "remember_device": True}
    answer = ada.client.post("/api/login/second-step/", json=body)
    assert (answer.status_code, "tokens" in answer.json) == (200, False)
    assert ada.try_login().status_code == 200  # remembered
