"""Passkeys: added, listed, renamed and removed; as login, second step and proof."""

import json

import pytest
from sqlalchemy import select

from pycoder.models.mfa import Passkey
from pycoder.models.user import User
from tests.support.callers import Caller, Tokens
from tests.support.second_factors import confirm_address, enrol, half, second_step
from tests.support.soft_authenticator import (
    EDDSA,
    ES256,
    RS256,
    SoftPasskey,
    add,
    assertion,
    begin,
    encode,
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


def test_a_removed_passkey_is_no_second_step_and_no_proof_at_once(ada, app, passkey, trail):
    enrol(ada, app, proof=prove(ada, passkey))
    [only] = ada.get("/api/passkeys/").json
    ticket, proof = half(ada), prove(ada, passkey)
    before = [assertion(ada.client, passkey) for _ in range(3)]
    json = {"proof": proof}
    assert ada.call("DELETE", f"/api/passkeys/{only['id']}/", json=json).status_code == 204
    assert refusal(second_step(ada, ticket, passkey=before[0])) == (400, "ticket_invalid")
    assert refusal(second_step(ada, half(ada), passkey=before[1])) == (400, "passkey_unknown")
    answer = ada.call("POST", "/api/reauthenticate/", json={"passkey": before[2]})
    assert refusal(answer) == (400, "passkey_unknown")
    answer = ada.call("DELETE", "/api/user/", json=json)
    assert refusal(answer) == (401, "insufficient_user_authentication")
    after = trail()[trail().index("passkey.removed") + 1 :]
    assert after == ["login.second_refused"]  # once an hour


def test_a_session_of_a_passkey_is_lowered_with_the_last_passkey(ada, app, passkey, clock):
    authenticator, _ = enrol(ada, app, proof=prove(ada, passkey))
    assert add(ada, app, proof=prove(ada, passkey))[1].status_code == 201
    first, second = ada.get("/api/passkeys/").json
    proof = prove(ada, passkey)
    for one, acr in ((second, "phr"), (first, "aal1")):
        path = f"/api/passkeys/{one['id']}/"
        assert ada.call("DELETE", path, json={"proof": proof}).status_code == 204
        ada.tokens = Tokens(**ada.refresh().json)
        assert claims_of(ada.tokens.access)["acr"] == acr
        proof = prove(ada, passkey) if one is second else ""
    assert claims_of(ada.tokens.access)["amr"] == ["pwd"]
    clock.shift(30)
    body = {"password": ada.password, "code": authenticator.code()}
    assert ada.call("POST", "/api/reauthenticate/", json=body).status_code == 200
    assert claims_of(ada.refresh().json["access"])["acr"] == "aal2"


def test_a_session_of_an_app_is_lowered_with_it_and_one_of_a_passkey_is_not(ada, app, passkey):
    for by_passkey, acr in ((False, "aal1"), (True, "phr")):
        _, codes = enrol(ada, app, proof=prove(ada, passkey))
        body = {"password": ada.password, "recovery_code": codes[0]}
        proof = ada.call("POST", "/api/reauthenticate/", json=body).json["proof"]
        proof = prove(ada, passkey) if by_passkey else proof
        assert ada.call("DELETE", "/api/factors/totp/", json={"proof": proof}).status_code == 204
        ada.tokens = Tokens(**ada.refresh().json)
        assert claims_of(ada.tokens.access)["acr"] == acr


def test_a_challenge_is_good_once(ada, passkey):
    body = assertion(ada.client, passkey)
    assert ada.client.post("/api/login/passkey/", json=body).status_code == 200
    again = ada.client.post("/api/login/passkey/", json=body)
    assert (again.status_code, again.json["code"]) == (400, "passkey_invalid")


def refusal(answer):
    return answer.status_code, answer.json["code"]


def finish(caller, ceremony, passkey=None, **fields):
    credential = (passkey or SoftPasskey()).create(ceremony["publicKey"])
    body = {"ticket": ceremony["ticket"], "credential": credential, **fields}
    return caller.call("POST", "/api/passkeys/", json=body)


def test_the_options_name_the_user_by_a_random_handle(ada, app, passkey, rows):
    options = begin(ada, proof=prove(ada, passkey))["publicKey"]
    [handle], [row] = rows(select(User.handle)), rows(select(Passkey))
    assert len(handle) == 32
    assert len(options.pop("challenge")) == 43
    assert options == {
        "rp": {"id": "localhost", "name": "PyCoder"},
        "user": {"id": encode(handle), "name": ada.email, "displayName": "ada"},
        "pubKeyCredParams": [
            {"type": "public-key", "alg": algorithm} for algorithm in (EDDSA, ES256, RS256)
        ],
        "timeout": 300_000,
        "excludeCredentials": [
            {"type": "public-key", "id": row.credential_id, "transports": ["hybrid", "internal"]}
        ],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def test_the_first_passkey_ends_every_other_session_and_is_mailed(ada, app, mails, trail):
    other = ada.tokens
    ada.login()
    mails()
    proof = ada.call("POST", "/api/reauthenticate/", json={"password": ada.password}).json["proof"]
    assert add(ada, app)[1].status_code == 201
    assert ada.user().status_code == 200
    assert refusal(ada.user(other.access)) == (401, "token_revoked")
    body = {"proof": proof}
    assert ada.call("POST", "/api/passkeys/options/", json=body).status_code == 401
    assert trail()[-1] == "passkey.added"
    assert [mail.subject for mail in mails()] == ["A passkey was added to your account"]


def test_a_further_passkey_keeps_the_sessions_and_the_recovery_codes(ada, app, passkey, mails):
    other = Caller(app.test_client())
    assert log_in(other, passkey).status_code == 200
    mails()
    _, answer = add(ada, app, proof=prove(ada, passkey))
    assert answer.status_code == 201
    assert "recovery_codes" not in answer.json
    assert other.user().status_code == 200
    assert ada.get("/api/factors/").json["recovery_codes_left"] == 10
    assert [mail.subject for mail in mails()] == ["A passkey was added to your account"]


def test_a_removed_passkey_ends_every_other_session_and_keeps_the_app(ada, app, passkey, mails):
    other = Caller(app.test_client())
    assert log_in(other, passkey).status_code == 200
    enrol(ada, app, proof=prove(ada, passkey))
    assert log_in(other, passkey).status_code == 200
    [only] = ada.get("/api/passkeys/").json
    body = {"proof": prove(ada, passkey)}
    mails()
    path = f"/api/passkeys/{only['id']}/"
    assert ada.call("DELETE", path, json=body).status_code == 204
    assert refusal(other.user()) == (401, "token_revoked")
    assert ada.get("/api/factors/").json["recovery_codes_left"] == 10
    assert ada.try_login().json["methods"] == ["totp", "recovery_code"]
    assert ada.call("DELETE", path, json=body).status_code == 401
    assert [mail.subject for mail in mails()] == ["A passkey was removed from your account"]


def test_the_password_adds_the_first_passkey_alone(ada, app, passkey):
    body = {"password": ada.password}
    answer = ada.call("POST", "/api/passkeys/options/", json=body)
    assert refusal(answer) == (401, "insufficient_user_authentication")
    answer = ada.call("POST", "/api/passkeys/options/", json={})
    assert refusal(answer) == (401, "insufficient_user_authentication")


def test_an_unconfirmed_address_has_no_passkey(ada):
    answer = ada.call("POST", "/api/passkeys/options/", json={"password": ada.password})
    assert refusal(answer) == (403, "email_unverified")


def test_a_ticket_is_good_for_its_user_and_session_alone(ada, app, bob):
    confirm_address(app, ada.email)
    ceremony, first = begin(ada), ada.tokens
    assert refusal(finish(bob, ceremony)) == (400, "passkey_invalid")
    ada.login()
    assert refusal(finish(ada, ceremony)) == (400, "passkey_invalid")
    ada.tokens = first
    assert finish(ada, ceremony).status_code == 201
    assert refusal(finish(ada, ceremony)) == (400, "passkey_invalid")


def test_a_ticket_ends_after_five_minutes_and_with_every_change_of_factors(ada, app, clock):
    confirm_address(app, ada.email)
    ceremony = begin(ada)
    clock.shift(301)
    assert refusal(finish(ada, ceremony)) == (400, "passkey_invalid")
    ceremony = begin(ada)
    enrol(ada, app)
    assert refusal(finish(ada, ceremony)) == (400, "passkey_invalid")
    assert ada.get("/api/passkeys/").json == []


def test_the_ticket_of_a_half_login_registers_nothing(ada, passkey):
    ticket = half(ada)
    ceremony = {"ticket": ticket, "publicKey": begin(ada, proof=prove(ada, passkey))["publicKey"]}
    assert refusal(finish(ada, ceremony)) == (400, "passkey_invalid")
    for header in (ticket, "x"):
        answer = ada.call("POST", "/api/passkeys/options/", header, json={})
        assert refusal(answer) == (401, "token_invalid")


def test_a_credential_is_registered_once(ada, app, bob, passkey):
    for caller, proof in ((ada, prove(ada, passkey)), (bob, None)):
        _, answer = add(caller, app, passkey, proof=proof)
        assert refusal(answer) == (400, "passkey_exists")
    assert log_in(ada, passkey).status_code == 400  # it has another handle now
    assert bob.get("/api/factors/").json["recovery_codes_left"] == 0


def test_an_account_has_twenty_passkeys_at_most(ada, app, passkey):
    proof = prove(ada, passkey)
    waiting = [begin(ada, proof=proof) for _ in range(2)]
    for _ in range(18):
        assert finish(ada, begin(ada, proof=proof)).status_code == 201
    waiting = [begin(ada, proof=proof) for _ in range(2)]
    assert finish(ada, waiting[0]).status_code == 201
    assert refusal(finish(ada, waiting[0])) == (400, "passkey_invalid")
    assert refusal(finish(ada, waiting[1])) == (409, "too_many_passkeys")
    answer = ada.call("POST", "/api/passkeys/options/", json={"proof": proof})
    assert refusal(answer) == (409, "too_many_passkeys")
    assert len(ada.get("/api/passkeys/").json) == 20


NAMES = {"a\u202eb": 400, "a\x07b": 400, "": 400, " ": 400, "x" * 61: 400, "e\u0301" * 60: 400}
NAMES |= {"x" * 60: 200, "Adas Schlüssel 🔑": 200, "e\u0301": 200}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_short_and_shows_as_it_is(ada, app, passkey, name):
    body = {"proof": prove(ada, passkey), "name": name}
    [only] = ada.get("/api/passkeys/").json
    assert only["name"] == "Passkey"
    answer = ada.call("PATCH", f"/api/passkeys/{only['id']}/", json=body)
    assert answer.status_code == NAMES[name]
    if answer.status_code == 400:
        assert set(answer.json["errors"]) == {"name"}
        assert ada.get("/api/passkeys/").json == [only]
    elif name == "e\u0301":
        assert answer.json["name"] == "é"


def test_a_change_needs_a_proof_and_a_passkey_of_ones_own(ada, bob, app, passkey):
    [only] = ada.get("/api/passkeys/").json
    other, _ = add(bob, app)
    path = f"/api/passkeys/{only['id']}/"
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", {})):
        for wrong in ({}, {"proof": "x"}, {"proof": prove(bob, other)}):
            answer = ada.call(method, path, json=body | wrong)
            assert refusal(answer) == (401, "insufficient_user_authentication")
        for unknown in (path, f"/api/passkeys/{2**63}/"):
            answer = bob.call(method, unknown, json=body | {"proof": prove(bob, other)})
            assert refusal(answer) == (404, "not_found")
    assert ada.get("/api/passkeys/").json == [only | {"last_used_at": None}]


def test_the_export_has_the_factors_without_their_secrets(ada, app, passkey, rows):
    _, codes = enrol(ada, app, proof=prove(ada, passkey))
    answer = ada.get("/api/user/export/")
    document = answer.json
    [exported] = document["passkeys"]
    assert exported.keys() == {
        "id", "name", "created_at", "last_used_at", "synced", "credential_id", "rp_id", "aaguid",
        "transports", "backup_eligible", "sign_count",
    }  # fmt: skip
    assert exported["credential_id"] == encode(passkey.id)
    assert document["totp"].keys() == {"confirmed_at", "last_used_at"}
    assert [list(code) for code in document["recovery_codes"]] == [["created_at"]] * 10
    assert {"remembered_until"} <= document["devices"][0].keys()
    [key] = rows(select(Passkey.public_key))
    assert encode(key) not in json.dumps(document)
    assert not [code for code in codes if code in answer.text]


def test_the_signals_name_the_account_and_its_passkeys(ada, bob, passkey, rows):
    [handle] = rows(select(User.handle).where(User.email == ada.email))
    expected = {
        "rpId": "localhost",
        "userId": encode(handle),
        "name": ada.email,
        "displayName": "ada",
        "allAcceptedCredentialIds": [encode(passkey.id)],
    }
    assert ada.get("/api/passkeys/signals/").json == expected
    assert bob.get("/api/passkeys/signals/").json["allAcceptedCredentialIds"] == []


def test_password_managers_find_the_page(client):
    answer = client.get("/.well-known/passkey-endpoints")
    page = "http://localhost:8000/account#passkeys"
    assert answer.json == {"enroll": page, "manage": page}


def test_a_browser_learns_which_passkeys_are_accepted(ada, app, passkey):
    path = "/api/passkeys/signals/"
    assert ada.get(path).json == {
        "rpId": "localhost",
        "userId": encode(passkey.handle),
        "allAcceptedCredentialIds": [encode(passkey.id)],
        "name": "ada@example.com",
        "displayName": "ada",
    }
    (listed,) = ada.get("/api/passkeys/").json
    body = {"proof": prove(ada, passkey)}
    assert ada.call("DELETE", f"/api/passkeys/{listed['id']}/", json=body).status_code == 204
    assert ada.get(path).json["allAcceptedCredentialIds"] == []
    assert ada.client.get(path).status_code == 401


def test_a_session_of_a_passkey_does_not_claim_a_password_once_an_app_is_added(
    ada, app, passkey, clock
):
    assert log_in(ada, passkey).status_code == 200
    enrol(ada, app, proof=prove(ada, passkey))
    pair = ada.refresh().json
    assert claims_of(pair["access"])["amr"] == ["pop", "user", "mfa"]
    assert claims_of(pair["access"])["acr"] == "phr"
