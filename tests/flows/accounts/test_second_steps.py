"""The second step of a login: what its ticket is good for, and what ends it."""

from datetime import timedelta

import bcrypt
import pytest
import time_machine
from sqlalchemy import select

from pycoder.clock import now
from pycoder.db.base import Base
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.device import Device
from pycoder.models.mfa import Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from tests.support.application import change
from tests.support.callers import Caller
from tests.support.parameters import on_sqlite
from tests.support.refusals import assert_refused, bearer
from tests.support.second_factors import (
    Authenticator,
    confirm_address,
    enrol,
    half,
    prove,
    reset_password,
    second_step,
)
from tests.support.tokens import claims_of

MINUTE = 60


@pytest.fixture
def enrolled(ada, app, clock):
    """The app and recovery codes of ada; the code of the present step is unused."""
    authenticator, codes = enrol(ada, app)
    clock.shift(30)
    return authenticator, codes


def code_of(answer):
    return answer.status_code, answer.json["code"]


# What a ticket is not


@on_sqlite
def test_a_ticket_is_no_token_and_no_proof(ada, enrolled, flask):
    session, ticket = ada.tokens, half(ada)
    assert_refused(bearer(ada.client, ticket))
    assert_refused(ada.refresh(ticket))
    assert_refused(ada.verify(ticket))
    assert ada.call("DELETE", "/api/user/", session.access, json={"proof": ticket}).json[
        "code"
    ] == ("insufficient_user_authentication")
    body = {"email": "eve@example.com", "proof": ticket}
    assert ada.call("POST", "/api/email/change/", session.access, json=body).status_code == 401
    body = {"proof": ticket}
    assert ada.call("POST", "/api/factors/totp/", session.access, json=body).status_code == 401
    assert ada.call("DELETE", "/api/factors/totp/", session.access, json=body).status_code == 401
    for path in ("email/verify", "email/undo"):
        answer = ada.client.post(f"/api/{path}/", json={"token": ticket})
        assert answer.json["code"] == "link_invalid"
    body = {"token": ticket, "new_password": "quite another pass phrase"}
    answer = ada.client.post("/api/password/reset/confirm/", json=body)
    assert answer.json["code"] == "link_invalid"
    answer = ada.client.post("/api/login/enrol/", json={"ticket": ticket})
    assert answer.json["code"] == "ticket_invalid"
    assert ada.client.post("/api/logout/", json={"refresh": ticket}).status_code == 401
    assert second_step(ada, ticket, code=enrolled[0].code()).status_code == 200


@on_sqlite
def test_a_proof_is_no_ticket(ada, enrolled):
    proof = prove(ada, code=enrolled[0].code())
    answer = second_step(ada, proof, recovery_code=enrolled[1][0])
    assert code_of(answer) == (400, "ticket_invalid")


def test_a_ticket_takes_the_factors_of_its_own_account_only(ada, bob, app, enrolled, clock):
    authenticator, codes = enrolled
    others, other_codes = enrol(bob, app)
    clock.shift(30)
    ticket = half(ada)
    for factor in ({"code": others.code()}, {"recovery_code": other_codes[0]}):
        assert code_of(second_step(ada, ticket, **factor)) == (400, "invalid_code")
    bob.client = ada.client  # in the same browser
    other_ticket = half(bob)
    refused = second_step(bob, other_ticket, recovery_code=codes[0])
    assert code_of(refused) == (400, "invalid_code")
    assert second_step(bob, other_ticket, code=others.code()).json["user"]["email"] == bob.email
    assert second_step(ada, ticket, code=authenticator.code()).json["user"]["email"] == ada.email


# What ends a ticket


def reset(ada, flask, mails):
    reset_password(ada, mails)


def set_password(ada, flask, mails):
    ada.password = "quite another pass phrase"
    words = ("users", "set-password", ada.email, "--password-stdin")
    assert flask(*words, stdin=f"{ada.password}\n").exit_code == 0


def deactivate(ada, flask, mails):
    for word in ("deactivate", "activate"):
        assert flask("users", word, ada.email).exit_code == 0


@pytest.mark.parametrize("happens", [reset, set_password, deactivate])
def test_a_ticket_ends_with_the_account_as_it_was(happens, ada, enrolled, flask, mails):
    authenticator, _ = enrolled
    session, ticket = ada.tokens, half(ada)
    happens(ada, flask, mails)
    refused = second_step(ada, ticket, code=authenticator.code())
    assert code_of(refused) == (400, "ticket_invalid")
    assert ada.user(session.access).json["code"] == "token_revoked"
    answer = second_step(ada, half(ada), code=authenticator.code())  # the factor is still there
    assert answer.status_code == 200


def test_a_change_of_address_ends_tickets(ada, enrolled, mails, clock):
    authenticator, _ = enrolled
    body = {"email": "lovelace@example.com", "proof": prove(ada, code=authenticator.code())}
    assert ada.call("POST", "/api/email/change/", json=body).status_code == 202
    ticket = half(ada)
    [token] = [mail.token for mail in mails() if mail.to == "lovelace@example.com"]
    assert ada.client.post("/api/email/verify/", json={"token": token}).status_code == 204
    clock.shift(30)
    refused = second_step(ada, ticket, code=authenticator.code())
    assert code_of(refused) == (400, "ticket_invalid")
    ada.email = "lovelace@example.com"
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def test_a_ticket_lives_for_five_minutes(ada, enrolled, clock, flask, rows):
    authenticator, _ = enrolled
    ticket, late = half(ada), half(ada)
    clock.shift(5 * MINUTE - 1)
    assert second_step(ada, ticket, code=authenticator.code()).status_code == 200
    clock.shift(30)
    refused = second_step(ada, late, code=authenticator.code())
    assert code_of(refused) == (400, "ticket_invalid")
    clock.shift(61 * MINUTE)
    assert flask("tokens", "prune").exit_code == 0
    assert rows(select(PendingAuthentication.digest)) == []


def test_the_sixth_ticket_replaces_the_first(ada, enrolled, clock):
    tickets = []
    for _ in range(6):
        clock.shift(1)
        tickets.append(half(ada))
    oldest = second_step(ada, tickets[0], code=enrolled[0].code())
    assert code_of(oldest) == (400, "ticket_invalid")
    assert second_step(ada, tickets[1], code=enrolled[0].code()).status_code == 200


# Clocks


def test_a_clock_that_is_set_back_makes_no_code_good_again(ada, enrolled, clock):
    authenticator, codes = enrolled
    code, before = authenticator.code(), authenticator.code(-1)
    assert second_step(ada, half(ada), code=code).status_code == 200
    with time_machine.travel(now() - timedelta(seconds=30), tick=False):
        for old in (code, before):
            assert code_of(second_step(ada, half(ada), code=old)) == (400, "invalid_code")
        assert second_step(ada, half(ada), recovery_code=codes[0]).status_code == 200


def test_a_recovery_code_uses_up_the_codes_that_the_app_shows(ada, enrolled, clock):
    authenticator, codes = enrolled
    shown = [authenticator.code(steps) for steps in (-1, 0, 1)]
    assert second_step(ada, half(ada), recovery_code=codes[0]).status_code == 200
    ticket = half(ada)
    for code in shown:
        assert code_of(second_step(ada, ticket, code=code)) == (400, "invalid_code")
    clock.shift(60)
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def test_a_recovery_code_while_the_clock_is_ahead_leaves_the_codes_of_the_app(ada, enrolled, clock):
    authenticator, codes = enrolled
    with time_machine.travel(now() + timedelta(hours=3), tick=False):
        assert second_step(ada, half(ada), recovery_code=codes[0]).status_code == 200
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


@pytest.mark.parametrize(("steps", "status"), [(-2, 400), (-1, 200), (1, 200), (2, 400)])
def test_enrolment_allows_the_same_drift_as_a_login(steps, status, ada, app, clock):
    confirm_address(app)
    setup = ada.call("POST", "/api/factors/totp/", json={"password": ada.password}).json
    code = Authenticator(setup["secret"]).code(steps)
    answer = ada.call("POST", "/api/factors/totp/confirm/", json={"code": code})
    assert answer.status_code == status


# What is stored and logged


def test_what_is_stored_and_logged_contains_no_secret(ada, app, clock, caplog):
    confirm_address(app)
    caplog.set_level("DEBUG")
    setup = ada.call("POST", "/api/factors/totp/", json={"password": ada.password}).json
    authenticator = Authenticator(setup["secret"])
    code = authenticator.code()
    codes = ada.call("POST", "/api/factors/totp/confirm/", json={"code": code}).json
    ticket = half(ada)
    wrong = authenticator.wrong_code()
    assert second_step(ada, ticket, code=wrong).status_code == 400
    with app.app_context():
        stored = "\n".join(
            repr(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in db.session.execute(table.select())
        )
    text_secrets = [setup["secret"], ticket, ada.password, *codes["recovery_codes"]]
    text_secrets += [one.replace("-", "") for one in codes["recovery_codes"]]
    for where in (stored, caplog.text):
        for secret in text_secrets:
            assert secret not in where
    assert repr(authenticator.key)[2:-1] not in stored
    assert authenticator.key.hex() not in stored
    reasons = " ".join(filter(None, rows_of(app, AuditEvent.reason)))
    assert wrong not in reasons
    assert code not in reasons


def rows_of(app, column):
    with app.app_context():
        return list(db.session.scalars(select(column)))


# Strength of a session


def strength(caller):
    claims = claims_of(caller.tokens.access)
    return claims["amr"], claims["acr"]


def refresh(caller):
    answer = caller.refresh()
    assert answer.status_code == 200
    caller.tokens = type(caller.tokens)(**answer.json)


def test_a_proof_raises_the_next_token_and_removal_lowers_it(ada, enrolled, clock, flask):
    authenticator, _ = enrolled
    step = second_step(ada, half(ada), code=authenticator.code(), remember_device=True)
    assert step.status_code == 200
    assert ada.try_login().status_code == 200  # remembered
    assert strength(ada) == (["pwd"], "aal1")
    signed_in = claims_of(ada.tokens.access)["auth_time"]
    clock.shift(30)
    proof = prove(ada, code=authenticator.code())
    refresh(ada)
    assert strength(ada) == (["pwd", "otp", "mfa"], "aal2")
    assert claims_of(ada.tokens.access)["auth_time"] == signed_in + 30
    strong = ada.tokens.access
    assert ada.call("DELETE", "/api/factors/totp/", json={"proof": proof}).status_code == 204
    refresh(ada)
    assert strength(ada) == (["pwd"], "aal1")
    # The token that says aal2 gains nothing, and neither does the proof.
    body = {"email": "eve@example.com", "proof": proof}
    answer = ada.call("POST", "/api/email/change/", strong, json=body)
    assert code_of(answer) == (401, "insufficient_user_authentication")


def test_a_copy_of_the_cookie_from_before_is_no_remembered_device(ada, app, enrolled, clock):
    authenticator, _ = enrolled
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    copy = ada.client.get_cookie("device", path="/api/").value
    clock.shift(30)
    step = second_step(ada, half(ada), code=authenticator.code(), remember_device=True)
    assert step.status_code == 200
    thief = Caller(app.test_client())
    thief.client.set_cookie("device", copy, path="/api/")
    assert code_of(thief.try_login()) == (403, "second_factor_required")
    assert ada.try_login().status_code == 200


def test_a_remembered_device_still_proves_itself(ada, enrolled, clock):
    second_step(ada, half(ada), code=enrolled[0].code(), remember_device=True)
    ada.login()
    for body in ({"password": ada.password}, {}):
        answer = ada.call("DELETE", "/api/user/", json=body)
        assert code_of(answer) == (401, "insufficient_user_authentication")


def test_the_refusal_says_which_step_is_missing(ada, bob, enrolled):
    answer = ada.call("DELETE", "/api/user/", json={"password": ada.password})
    assert "/api/reauthenticate/" in answer.json["detail"]
    challenge = 'Bearer error="insufficient_user_authentication"'
    assert answer.headers["WWW-Authenticate"] == f'{challenge}, acr_values="aal2"'
    answer = bob.call("DELETE", "/api/user/", json={})
    assert "password: send it" in answer.json["detail"]
    assert answer.headers["WWW-Authenticate"] == challenge


def test_a_changed_password_keeps_the_strength_of_the_session(ada, enrolled, clock):
    proof = prove(ada, code=enrolled[0].code())
    body = {"proof": proof, "new_password": "quite another pass phrase"}
    answer = ada.call("POST", "/api/password/change/", json=body)
    assert claims_of(answer.json["tokens"]["access"])["acr"] == "aal2"


# Remembered devices


@pytest.fixture
def remembered(ada, enrolled):
    answer = second_step(ada, half(ada), code=enrolled[0].code(), remember_device=True)
    assert answer.status_code == 200
    ada.login()
    return enrolled


def test_a_device_is_remembered_for_thirty_days_and_not_longer(ada, remembered, clock):
    for _ in range(3):
        clock.shift(timedelta(days=10) - timedelta(seconds=1))
        ada.login()
    clock.shift(3)
    assert half(ada)


def test_a_device_is_remembered_for_one_account_and_by_its_cookie_only(ada, bob, app, remembered):
    assert half(Caller(app.test_client()))  # another device
    enrol(bob, app)
    bob.client = ada.client
    assert half(bob)
    ada.login()


@pytest.mark.parametrize("happens", [reset, set_password])
def test_a_new_password_forgets_remembered_devices(happens, ada, remembered, flask, mails):
    happens(ada, flask, mails)
    assert half(ada)


def test_adding_an_app_again_forgets_remembered_devices(ada, app, remembered, clock, rows):
    clock.shift(30)
    ada_session = ada.login()
    proof = prove(ada, code=remembered[0].code())
    enrol(ada, app, proof=proof)
    assert ada_session == ada.tokens
    assert rows(select(Device.remembered_until).where(Device.remembered_until.is_not(None))) == []
    assert half(ada)


# Changes while a password is hashed


@on_sqlite
def test_a_factor_that_is_confirmed_while_the_password_is_hashed_is_asked_for(
    ada, app, clock, monkeypatch, rows
):
    hashpw, left = bcrypt.hashpw, [True]

    def verify(*given):
        if left:
            left.pop()
            row = {"encrypted_secret": b"x", "last_step": 0, "created_at": now()}
            row["user_id"] = rows(select(Session.user_id))[0]
            change(app, Totp.__table__.insert().values(row))
        return hashpw(*given)

    monkeypatch.setattr(bcrypt, "hashpw", verify)
    assert code_of(ada.try_login()) == (403, "second_factor_required")
