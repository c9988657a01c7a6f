"""Two-step sign-in with an authenticator app and recovery codes."""

import bcrypt
import pytest

from pycoder.accounts import passwords, reauthentication
from tests.support.emails import move, verify, with_link
from tests.support.second_factors import (
    Authenticator,
    confirm_address,
    enrol,
    half,
    prove,
    second_step,
)
from tests.support.soft_authenticator import add
from tests.support.statements import executed
from tests.support.tokens import claims_of


@pytest.fixture
def factors(ada, app, clock):
    return enrol(ada, app)


def test_a_login_needs_a_code_once_an_app_is_confirmed(ada, factors, clock):
    authenticator, _ = factors
    answer = ada.try_login()
    assert answer.status_code == 403
    assert answer.json["methods"] == ["totp", "recovery_code"]
    assert answer.json["expires_in"] == 300
    assert "tokens" not in answer.json
    clock.shift(30)
    assert second_step(ada, answer.json["ticket"], code=authenticator.code()).status_code == 200
    assert ada.user().status_code == 200
    claims = claims_of(ada.tokens.access)
    assert (claims["amr"], claims["acr"]) == (["pwd", "otp", "mfa"], "aal2")


def test_a_code_is_good_once(ada, factors, clock):
    authenticator, _ = factors
    refused = second_step(ada, half(ada), code=authenticator.code())
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_code")
    clock.shift(30)
    code = authenticator.code()
    assert second_step(ada, half(ada), code=code).status_code == 200
    assert second_step(ada, half(ada), code=f" {code[:3]} {code[3:]} ").status_code == 400


def test_a_recovery_code_replaces_the_app_once(ada, factors, clock):
    _, codes = factors
    spelled = codes[0].lower().replace("-", " ").replace("0", "o")
    assert second_step(ada, half(ada), recovery_code=spelled).status_code == 200
    assert second_step(ada, half(ada), recovery_code=codes[0]).status_code == 400
    assert ada.get("/api/factors/").json["recovery_codes_left"] == 9


def test_a_ticket_has_five_tries(ada, factors, clock):
    authenticator, _ = factors
    ticket = half(ada)
    wrong = [second_step(ada, ticket, code=authenticator.wrong_code()) for _ in range(6)]
    assert [answer.json["code"] for answer in wrong] == ["invalid_code"] * 5 + ["ticket_invalid"]
    clock.shift(30)
    assert second_step(ada, ticket, code=authenticator.code()).json["code"] == "ticket_invalid"


def test_the_password_alone_proves_nothing_of_an_account_with_an_app(ada, factors, clock):
    authenticator, _ = factors
    body = {"password": ada.password}
    assert ada.call("DELETE", "/api/user/", json=body).status_code == 401
    answer = ada.call("POST", "/api/reauthenticate/", json=body)
    assert (answer.status_code, answer.json["code"]) == (403, "second_factor_required")
    clock.shift(30)
    proof = prove(ada, code=authenticator.code())
    assert ada.call("DELETE", "/api/factors/totp/", json={"proof": proof}).status_code == 204
    assert ada.get("/api/factors/").json == {
        "totp": None,
        "recovery_codes_left": 0,
        "passkeys": [],
        "required": False,
    }
    assert ada.try_login().status_code == 200


def test_a_remembered_device_needs_no_code(ada, factors, clock):
    authenticator, _ = factors
    clock.shift(30)
    answer = second_step(ada, half(ada), code=authenticator.code(), remember_device=True)
    assert answer.status_code == 200
    assert ada.try_login().status_code == 200
    assert claims_of(ada.tokens.access)["amr"] == ["pwd"]
    assert ada.call("DELETE", "/api/devices/").status_code == 204
    assert half(ada)


@pytest.mark.parametrize("value", ["true", "false", 1, 0, []])
def test_only_a_boolean_remembers_a_device(value, ada, factors, clock):
    authenticator, _ = factors
    clock.shift(30)
    answer = second_step(ada, half(ada), code=authenticator.code(), remember_device=value)
    assert answer.json["error_codes"] == {"remember_device": [{"code": "not_a_boolean"}]}


def test_a_login_without_a_factor_asks_for_factors_twice(ada, app):
    """The account is read with them, and they are looked for again under its lock."""
    with executed(app) as statements:
        ada.login()
    naming = [one for one in statements if "FROM totp" in one]
    assert [one.split()[0] for one in naming] == ["SELECT", "SELECT"]


SENSITIVE = {
    "DELETE /api/user/": {},
    "POST /api/email/change/": {"email": "ada@example.org"},
    "POST /api/password/change/": {"new_password": "a new long pass phrase"},
    "POST /api/factors/totp/": {},
    "POST /api/passkeys/options/": {},
}


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_password_that_is_hashed_while_a_factor_is_added_is_not_enough(
    name, ada, app, monkeypatch
):
    confirm_address(app)
    setup = ada.call("POST", "/api/factors/totp/", json={"password": ada.password})
    code, verify = Authenticator(setup.json["secret"]).code(), reauthentication.verify_password

    def add_factor_and_verify(*given):
        added = ada.call("POST", "/api/factors/totp/confirm/", json={"code": code})
        assert added.status_code == 200
        return verify(*given)

    monkeypatch.setattr(reauthentication, "verify_password", add_factor_and_verify)
    method, path = name.split()
    field = "current_password" if "password/change" in path else "password"
    answer = ada.call(method, path, json={**SENSITIVE[name], field: ada.password})
    assert (answer.status_code, answer.json["code"]) == (401, "insufficient_user_authentication")
    assert half(ada)


def test_a_proof_that_ends_while_the_new_password_is_hashed_is_not_enough(
    ada, factors, clock, monkeypatch
):
    """Else the new session would be as strong as the factor that was removed meanwhile."""
    clock.shift(30)
    proof, hash_password = prove(ada, code=factors[0].code()), passwords.hash_password

    def remove_factor_and_hash(new):
        removed = ada.call("DELETE", "/api/factors/totp/", json={"proof": proof})
        assert removed.status_code == 204
        return hash_password(new)

    monkeypatch.setattr(passwords, "hash_password", remove_factor_and_hash)
    body = {"proof": proof, "new_password": "a new long pass phrase"}
    answer = ada.call("POST", "/api/password/change/", json=body)
    assert (answer.status_code, answer.json["code"]) == (401, "insufficient_user_authentication")
    assert claims_of(ada.refresh().json["access"])["acr"] == "aal1"
    assert ada.try_login().status_code == 200


def test_a_change_of_address_that_was_asked_before_the_factor_does_not_take_effect(
    ada, app, mails, clock
):
    confirm_address(app)
    mails()
    assert move(ada, "thief@example.org").status_code == 202
    link = with_link([mail for mail in mails() if mail.to == "thief@example.org"])
    enrol(ada, app)
    assert verify(ada, link.token).json["code"] == "link_invalid"


@pytest.mark.parametrize("path", ["/api/reauthenticate/", "/api/login/second-step/"])
def test_of_several_factors_none_is_ignored(path, ada, factors):
    authenticator, codes = factors
    body = {"code": authenticator.wrong_code(), "recovery_code": codes[0]}
    more = {"ticket": "x"} if "login" in path else {"password": ada.password}
    answer = ada.call("POST", path, json=body | more)
    assert answer.status_code == 400
    assert answer.json["error_codes"] == {"code": [{"code": "not_one"}]}
    assert ada.get("/api/factors/").json["recovery_codes_left"] == 10


def test_a_token_alone_pauses_no_codes_of_the_owner(ada, app, factors, clock):
    """Without an app to confirm, nothing is guessed at, and nothing counts."""
    authenticator, _ = factors
    for _ in range(12):
        answer = ada.call("POST", "/api/factors/totp/confirm/", json={"code": "123456"})
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_code")
    clock.shift(30)
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def test_a_wrong_recovery_code_is_not_told_to_wait(ada, factors):
    wrong = second_step(ada, half(ada), recovery_code="0000-0000-0000-0000-0000-0000")
    assert wrong.json["code"] == "invalid_code"
    assert "recovery code" in wrong.json["detail"]
    assert "Wait" not in wrong.json["detail"]


@pytest.mark.parametrize("factor", [{"code": "000000"}, {"recovery_code": "x"}])
def test_a_wrong_code_is_the_same_work_whatever_the_account_has(
    factor, ada, bob, app, factors, clock, monkeypatch
):
    """The time would tell it otherwise. No password hash is computed, which would take longest."""
    _, answer = add(bob, app)
    assert answer.status_code == 201
    tickets = {caller: half(caller) for caller in (ada, bob)}
    monkeypatch.setattr(bcrypt, "hashpw", None)
    work = []
    for caller, ticket in tickets.items():
        second_step(caller, ticket, **factor)  # the first failure mails the owner
        with executed(app) as statements:
            answer = second_step(caller, ticket, **factor)
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_code")
        work.append(statements)
    assert work[0] == work[1] != []
