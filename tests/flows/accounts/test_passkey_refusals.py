"""What a passkey is refused for: one code, whatever was wrong, and nothing is left behind."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fido2.cose import RS256, CoseKey
from sqlalchemy import func, select

from pycoder.models.mfa import Passkey, RecoveryCode
from pycoder.models.session import Session
from tests.support.parameters import on_sqlite, table
from tests.support.second_factors import confirm_address
from tests.support.soft_authenticator import (
    AT,
    BE,
    BS,
    ED,
    ES256,
    UP,
    UV,
    SoftPasskey,
    add,
    assertion,
    begin,
    challenge,
    encode,
    log_in,
)

IN_CLIENT_DATA = {
    "the type of the other ceremony": {"type": "webauthn.other"},
    "another challenge": {"challenge": encode(os.urandom(32))},
    "an empty challenge": {"challenge": ""},
    "no challenge": {"challenge": None},
    "another origin": {"origin": "https://evil.example"},
    "another scheme": {"origin": "https://localhost:8000"},
    "another port": {"origin": "http://localhost:8001"},
    "no port": {"origin": "http://localhost"},
    "a subdomain": {"origin": "http://evil.localhost:8000"},
    "a parent": {"origin": "http://localhost.evil.example:8000"},
    "an origin with a path": {"origin": "http://localhost:8000/"},
    "an origin in capitals": {"origin": "HTTP://localhost:8000"},
    "no origin": {"origin": None},
    "an origin that is no text": {"origin": ["http://localhost:8000"]},
    "a frame of another site": {"crossOrigin": True},
    "a frame, as text": {"crossOrigin": "false"},
    "a top origin": {"topOrigin": "http://localhost:8000"},
    "an empty top origin": {"topOrigin": ""},
}
CLIENT = {name: {"client": client} for name, client in IN_CLIENT_DATA.items()}
DATA = {
    "another relying party": {"rp_id": "example.com"},
    "a parent of the relying party": {"rp_id": "host"},
    "user not present": {"flags": UV | BE | BS},
    "user not verified": {"flags": UP | BE | BS},
    "backed up though it cannot be": {"flags": UP | UV | BS},
    "trailing bytes": {"rest": b"\0"},
    "announced extensions": {"flags": UP | UV | BE | BS | ED},
}
SHAPE = {
    "another type of credential": {"type": "password"},
    "no type": {"type": None},
    "an id unlike the raw id": {"id": encode(b"another")},
    "a raw id that is a number": {"rawId": 2**40, "id": 2**40},
    "a raw id that is no base64url": {"rawId": "a+b/", "id": "a+b/"},
    "an empty raw id": {"rawId": "", "id": ""},
    "client data that is no text": {"response": {"clientDataJSON": 7}},
    "client data that is no JSON": {"response": {"clientDataJSON": encode(b"{")}},
    "client data that is a list": {"response": {"clientDataJSON": encode(b"[]")}},
    "client data that is not UTF-8": {"response": {"clientDataJSON": encode(b"\xff")}},
    "a member twice": {"response": {"clientDataJSON": encode(b'{"type":1,"type":1}')}},
}
OF_ASSERTIONS = {
    "user handle of another user": {"response": {"userHandle": encode(os.urandom(32))}},
    "an empty user handle": {"response": {"userHandle": ""}},
    "no user handle": {"response": {"userHandle": None}},
    "a user handle that is a number": {"response": {"userHandle": 2**40}},
    "backup eligibility that changed": {"flags": UP | UV},
    "no signature": {"response": {"signature": ""}},
    "another signature": {"response": {"signature": encode(os.urandom(70))}},
    "empty data": {"response": {"authenticatorData": ""}},
    "data that is a number": {"response": {"authenticatorData": 2**40}},
    "no response": {"response": {"signature": None, "authenticatorData": None}},
}


def rsa_key(bits):
    public = rsa.generate_private_key(65537, bits).public_key()
    return RS256.from_cryptography_key(public)


def es256(**changes):
    key = dict(CoseKey.for_alg(ES256).from_cryptography_key(SoftPasskey().key.public_key()))
    return key | {int(name.strip("_")) * -1: value for name, value in changes.items()}


OF_REGISTRATIONS = {
    "trailing CBOR": {"rest": b"\0"},
    "trailing CBOR in the data": {"in_data": b"\xa0"},
    "no key": {"flags": UP | UV | BE | BS},
    "a credential id unlike the raw id": {"credential_id": os.urandom(32)},
    "an algorithm that was not offered": {"key": {**es256(), 3: -47}},
    "an unknown algorithm": {"key": {**es256(), 3: 12345}},
    "a key of another type": {"key": {**es256(), 1: 3}},
    "a point that is not on the curve": {"key": es256(_3=b"\1" * 32)},
    "another curve": {"key": es256(_1=2)},
    "coordinates that are numbers": {"key": es256(_2=2**40)},
    "a small RSA key": {"key": rsa_key(1024)},
    "a large RSA exponent": {"key": {**rsa_key(2048), -2: b"\1" * 8}},
    "an RSA key with an even modulus": {"key": {**rsa_key(2048), -1: b"\xfe" * 256}},
    "an RSA key with an even exponent": {"key": {**rsa_key(2048), -2: b"\1\0\0"}},
    "a large RSA key": {"key": {**rsa_key(2048), -1: b"\xff" * 1024}},
    "no attestation object": {"response": {"attestationObject": ""}},
    "an attestation object that is a number": {"response": {"attestationObject": 2**40}},
    "data that is a number": {"auth_data": 2**40},
    "deep CBOR": {"response": {"attestationObject": encode(b"\x81" * 30_000)}},
}
REGISTRATION_DATA = {
    name: {**case, "flags": AT | case["flags"]} if "flags" in case else case
    for name, case in DATA.items()
    if name != "trailing bytes"
}


@pytest.fixture
def passkey(ada, app):
    passkey, answer = add(ada, app)
    assert answer.status_code == 201
    return passkey


@on_sqlite
@table({**CLIENT, **DATA, **SHAPE, **OF_ASSERTIONS})
def test_a_login_is_refused_for(case, ada, passkey, trail, rows):
    before = rows(select(func.count(Session.id)))
    answer = log_in(ada, passkey, **case)
    assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid"), answer.json
    assert trail()[-1] == "passkey.refused"
    assert rows(select(func.count(Session.id))) == before
    assert rows(select(Passkey.last_used_at)) == [None]
    assert log_in(ada, passkey).status_code == 200


@on_sqlite
@table({**CLIENT, **REGISTRATION_DATA, **SHAPE, **OF_REGISTRATIONS})
def test_a_registration_is_refused_for(case, ada, app, rows):
    confirm_address(app)
    ceremony = begin(ada)
    body = {"ticket": ceremony["ticket"]}
    body["credential"] = SoftPasskey().create(ceremony["publicKey"], **case)
    answer = ada.call("POST", "/api/passkeys/", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid"), answer.json
    assert rows(select(func.count(Passkey.id))) == rows(select(func.count(RecoveryCode.digest)))
    assert rows(select(func.count(Passkey.id))) == [0]
    body["credential"] = SoftPasskey().create(ceremony["publicKey"])
    assert ada.call("POST", "/api/passkeys/", json=body).status_code == 201


TO_SECOND_STEPS = {
    name: {**CLIENT, **DATA, **OF_ASSERTIONS}[name]
    for name in (
        *DATA,
        "another challenge",
        "another origin",
        "a frame of another site",
        "user handle of another user",
        "backup eligibility that changed",
        "another signature",
    )
}


@table(TO_SECOND_STEPS)
def test_a_second_step_and_a_proof_are_refused_for(case, ada, passkey, rows):
    step = {"ticket": ada.try_login().json["ticket"]}
    before = rows(select(func.count(Session.id)))
    for path, body in (("login/second-step", step), ("reauthenticate", {})):
        body["passkey"] = assertion(ada.client, passkey, **case)
        answer = ada.call("POST", f"/api/{path}/", json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid"), answer.json
        assert rows(select(func.count(Session.id))) == before
        assert rows(select(Passkey.last_used_at)) == [None]
    step["passkey"] = assertion(ada.client, passkey)
    assert ada.call("POST", "/api/login/second-step/", json=step).status_code == 200


def test_an_unknown_passkey_is_only_told_if_all_else_is_right(ada, passkey):
    stranger = SoftPasskey()
    stranger.handle = passkey.handle
    assert log_in(ada, stranger).json["code"] == "passkey_unknown"
    for case in ({"rp_id": "example.com"}, {"flags": UP}, {"client": {"origin": "http://a.b"}}):
        assert log_in(ada, stranger, **case).json["code"] == "passkey_invalid"


def test_a_passkey_of_another_user_is_no_second_factor(ada, app, bob, passkey):
    other, answer = add(bob, app)
    assert answer.status_code == 201
    ticket = ada.try_login().json["ticket"]
    for handle in (encode(other.handle), None):
        factor = assertion(ada.client, other, response={"userHandle": handle})
        body = {"ticket": ticket, "passkey": factor}
        answer = ada.client.post("/api/login/second-step/", json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid")
        body = {"passkey": assertion(ada.client, other, response={"userHandle": handle})}
        answer = ada.call("POST", "/api/reauthenticate/", json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid")
    step = {"ticket": ticket, "passkey": assertion(ada.client, passkey)}
    assert ada.client.post("/api/login/second-step/", json=step).status_code == 200


def test_a_signature_that_names_no_user_is_enough_once_the_user_is_known(ada, passkey):
    ticket = ada.try_login().json["ticket"]
    for handle, status in (("", 400), (encode(b"another"), 400), (None, 200)):
        factor = assertion(ada.client, passkey, response={"userHandle": handle})
        body = {"ticket": ticket, "passkey": factor}
        answer = ada.client.post("/api/login/second-step/", json=body)
        assert answer.status_code == status, handle


def test_a_ticket_is_good_for_its_own_challenge_alone(ada, passkey):
    one, other = assertion(ada.client, passkey), assertion(ada.client, passkey)
    swapped = {"ticket": one["ticket"], "credential": other["credential"]}
    assert ada.client.post("/api/login/passkey/", json=swapped).json["code"] == "passkey_invalid"
    for ticket in (one["ticket"][:-1], f"{one['ticket']}A", "x", other["ticket"].upper()):
        body = {**one, "ticket": ticket}
        assert ada.client.post("/api/login/passkey/", json=body).json["code"] == "passkey_invalid"
    assert ada.client.post("/api/login/passkey/", json=other).status_code == 200
    assert ada.client.post("/api/login/passkey/", json=one).status_code == 200


def test_the_tickets_of_two_browsers_are_not_exchanged(ada, app, passkey, rows):
    other = app.test_client()
    one, two = challenge(ada.client), challenge(other)
    before = rows(select(func.count(Session.id)))
    for client, mine, foreign in ((ada.client, one, two), (other, two, one)):
        body = {"ticket": foreign["ticket"], "credential": passkey.get(mine["publicKey"])}
        answer = client.post("/api/login/passkey/", json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid")
    assert rows(select(func.count(Session.id))) == before
    for client, mine in ((ada.client, one), (other, two)):
        body = {"ticket": mine["ticket"], "credential": passkey.get(mine["publicKey"])}
        assert client.post("/api/login/passkey/", json=body).status_code == 200


def test_a_challenge_of_a_registration_is_none_of_a_login_and_the_other_way_round(
    ada, passkey, app
):
    proof = ada.call(
        "POST", "/api/reauthenticate/", json={"passkey": assertion(ada.client, passkey)}
    ).json["proof"]
    setup = begin(ada, proof=proof)
    body = {"ticket": setup["ticket"], "credential": passkey.get(setup["publicKey"])}
    assert ada.client.post("/api/login/passkey/", json=body).json["code"] == "passkey_invalid"
    login = challenge(ada.client)
    options = {**setup["publicKey"], "challenge": login["publicKey"]["challenge"]}
    body = {"ticket": login["ticket"], "credential": SoftPasskey().create(options)}
    answer = ada.call("POST", "/api/passkeys/", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "passkey_invalid")


def test_a_challenge_expires_after_five_minutes(ada, passkey, clock):
    body = assertion(ada.client, passkey)
    clock.shift(299)
    assert ada.client.post("/api/login/passkey/", json=body).status_code == 200
    body = assertion(ada.client, passkey)
    clock.shift(301)
    assert ada.client.post("/api/login/passkey/", json=body).json["code"] == "passkey_invalid"


def test_a_used_challenge_stays_used_whatever_ends_the_pending_ones(ada, passkey, app):
    body = assertion(ada.client, passkey)
    assert ada.client.post("/api/login/passkey/", json=body).status_code == 200
    _, answer = add(ada, app, proof=_proof(ada, passkey))
    assert answer.status_code == 201
    [_, second] = ada.get("/api/passkeys/").json
    removal = {"proof": _proof(ada, passkey)}
    assert ada.call("DELETE", f"/api/passkeys/{second['id']}/", json=removal).status_code == 204
    assert ada.client.post("/api/login/passkey/", json=body).json["code"] == "passkey_invalid"


def _proof(caller, passkey):
    body = {"passkey": assertion(caller.client, passkey)}
    return caller.call("POST", "/api/reauthenticate/", json=body).json["proof"]


@on_sqlite
@pytest.mark.parametrize("path", ["/api/login/second-step/", "/api/reauthenticate/"])
@pytest.mark.parametrize("value", [7, "x", [], {}, {"ticket": "x"}, {"credential": {}}])
def test_what_is_no_passkey_at_all_is_an_invalid_field(ada, path, value):
    body = {"passkey": value} | ({"ticket": "x"} if "second" in path else {})
    answer = ada.call("POST", path, json=body)
    assert answer.json["error_codes"] == {"passkey": [{"code": "not_a_passkey"}]}
