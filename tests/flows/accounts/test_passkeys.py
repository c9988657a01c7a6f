"""Passkeys: added, listed, renamed and removed; as login, second step and proof."""

import pytest

from tests.support.second_factors import second_step
from tests.support.soft_authenticator import (
    EDDSA,
    ES256,
    RS256,
    SoftPasskey,
    add,
    assertion,
    log_in,
)
from tests.support.tokens import claims_of


@pytest.fixture
def passkey(ada, app):
    passkey, answer = add(ada, app)
    assert answer.status_code == 201, answer.json
    return passkey


def prove(caller, passkey):
    body = {"passkey": assertion(caller.client, passkey)}
    answer = caller.call("POST", "/api/reauthenticate/", json=body)
    assert answer.status_code == 200, answer.json
    return answer.json["proof"]


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
@pytest.mark.parametrize("length", [16, 1023])
def test_a_passkey_is_both_factors_of_a_login(ada, app, algorithm, length):
    passkey, answer = add(ada, app, SoftPasskey(algorithm, length=length), name=" My phone ")
    assert answer.status_code == 201, answer.json
    assert (answer.json["name"], answer.json["synced"]) == ("My phone", True)
    assert len(answer.json["recovery_codes"]) == 10
    assert log_in(ada, passkey).status_code == 200
    claims = claims_of(ada.tokens.access)
    assert (claims["amr"], claims["acr"]) == (["pop", "user", "mfa"], "phr")
    assert ada.user().status_code == 200


def test_a_passkey_is_a_second_step(ada, passkey):
    answer = ada.try_login()
    assert answer.json["methods"] == ["recovery_code", "passkey"]
    answer = second_step(ada, answer.json["ticket"], passkey=assertion(ada.client, passkey))
    assert answer.status_code == 200, answer.json
    assert claims_of(ada.tokens.access)["amr"] == ["pwd", "pop", "user", "mfa"]


def test_a_passkey_alone_is_a_proof_with_which_it_is_renamed_and_removed(ada, passkey, trail):
    [listed] = ada.get("/api/passkeys/").json
    path = f"/api/passkeys/{listed['id']}/"
    proof = prove(ada, passkey)
    renamed = ada.call("PATCH", path, json={"proof": proof, "name": "Key"})
    assert (renamed.status_code, renamed.json["name"]) == (200, "Key")
    assert ada.call("DELETE", path, json={"proof": proof}).status_code == 204
    assert ada.get("/api/passkeys/").json == []
    assert log_in(ada, passkey).json["code"] == "passkey_unknown"
    assert ada.try_login().status_code == 200
    assert trail()[-3:] == ["passkey.removed", "passkey.refused", "login.succeeded"]


def test_an_assertion_from_before_a_removal_is_dead(ada, passkey):
    body = assertion(ada.client, passkey)
    [listed] = ada.get("/api/passkeys/").json
    json = {"proof": prove(ada, passkey)}
    assert ada.call("DELETE", f"/api/passkeys/{listed['id']}/", json=json).status_code == 204
    answer = ada.client.post("/api/login/passkey/", json=body)
    assert answer.json["code"] == "passkey_unknown"


def test_a_challenge_is_good_once(ada, passkey):
    body = assertion(ada.client, passkey)
    assert ada.client.post("/api/login/passkey/", json=body).status_code == 200
    again = ada.client.post("/api/login/passkey/", json=body)
    assert (again.status_code, again.json["code"]) == (400, "passkey_invalid")
