"""The test vectors of WebAuthn Level 3, section 16.

Each is verified as its registration and login would be. The vectors draw their flags at random, and
use algorithms that PyCoder does not offer: those are refused, for exactly that reason.
"""

import json

import pytest
from fido2 import cbor
from fido2.webauthn import AuthenticatorData

from pycoder.errors import PasskeyInvalid
from pycoder.mfa import webauthn
from tests.support.constants import ROOT
from tests.support.soft_authenticator import decode, encode

DOCUMENT = json.loads((ROOT / "tests" / "support" / "webauthn_vectors.json").read_text())
VECTORS = DOCUMENT["vectors"]
NOT_OFFERED, FRAMED, NO_UV = "algorithm not offered", "frame of another site", "user not verified"


@pytest.fixture
def relying_party(app_without_tables, monkeypatch):
    """Make the application that of the vectors."""
    config = app_without_tables.config
    monkeypatch.setitem(config, "PASSKEY_RP_ID", DOCUMENT["rp_id"])
    monkeypatch.setitem(config, "PUBLIC_URL", DOCUMENT["origin"])
    with app_without_tables.app_context():
        yield


def members(part, *names):
    return {name: encode(bytes.fromhex(part[name])) for name in names}


def credential(vector, response):
    raw_id = encode(bytes.fromhex(vector["registration"]["credential_id"]))
    return {"id": raw_id, "rawId": raw_id, "type": "public-key", "response": response}


def register(vector):
    part = vector["registration"]
    response = members(part, "clientDataJSON", "attestationObject")
    challenge = bytes.fromhex(part["challenge"])
    return webauthn.verify_registration(challenge, credential(vector, response))


def authenticate(vector):
    part = vector["authentication"]
    response = members(part, "clientDataJSON", "authenticatorData", "signature")
    challenge = bytes.fromhex(part["challenge"])
    return webauthn.read_assertion(challenge, credential(vector, response))


def outcome(ceremony, vector):
    try:
        return ceremony(vector) and "accepted"
    except PasskeyInvalid as refusal:
        return refusal.reason


OK = "accepted"
OUTCOMES = {  # of the registration and the login
    "none-es256": (NO_UV, NO_UV),
    "packed-self-es256": (OK, NO_UV),
    "none-es256-crossOrigin": (FRAMED, FRAMED),
    "none-es256-topOrigin": (FRAMED, FRAMED),
    "none-es256-long-credential-id": (NO_UV, OK),
    "packed-es256": (OK, OK),
    "packed-es384": (NO_UV, OK),
    "packed-es512": (NOT_OFFERED, NO_UV),
    "packed-rs256": (OK, NO_UV),
    "packed-eddsa": (NO_UV, NO_UV),
    "packed-ed448": (NO_UV, OK),
    "tpm-es256": (OK, OK),
    "android-key-es256": (OK, NO_UV),
    "apple-es256": (NO_UV, NO_UV),
    "fido-u2f-es256": (NO_UV, NO_UV),
}


def test_the_vectors_are_all_fifteen():
    assert list(VECTORS) == list(OUTCOMES)
    assert len(VECTORS) == 15


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_accepted_or_refused_for_the_one_thing_that_is_not_allowed(name, relying_party):
    vector = VECTORS[name]
    assert (outcome(register, vector), outcome(authenticate, vector)) == OUTCOMES[name]


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_accepted_with_what_is_not_allowed_allowed(name, relying_party, monkeypatch):
    """All but the policy holds of all fifteen: encoding, challenge, origin, key, signature."""
    monkeypatch.setattr(AuthenticatorData, "is_user_verified", lambda data: True)
    types = {-35: 2, -36: 2, -53: 1, **webauthn.KEY_TYPES}
    monkeypatch.setattr(webauthn, "KEY_TYPES", types)
    vector = VECTORS[name]
    if OUTCOMES[name] == (FRAMED, FRAMED):
        strict = webauthn.strict_loads
        hidden = ("crossOrigin", "topOrigin")
        monkeypatch.setattr(
            webauthn,
            "strict_loads",
            lambda raw: {n: v for n, v in strict(raw).items() if n not in hidden},
        )
    registration, signed = register(vector), authenticate(vector)
    key = cbor.encode(dict(registration.data.credential_data.public_key))
    webauthn.check_signature(key, signed.message, signed.signature)
    for message, signature in (
        (signed.message + b"\0", signed.signature),
        (signed.message, signed.signature[:-1]),
    ):
        with pytest.raises(PasskeyInvalid):
            webauthn.check_signature(key, message, signature)


@pytest.mark.parametrize("name", ["packed-es256", "tpm-es256"])
def test_a_vector_is_refused_at_another_relying_party(
    name, relying_party, app_without_tables, monkeypatch
):
    vector, config = VECTORS[name], app_without_tables.config
    monkeypatch.setitem(config, "PASSKEY_RP_ID", "example.com")
    assert outcome(register, vector) == outcome(authenticate, vector) == "wrong origin"
    monkeypatch.setitem(config, "PASSKEY_RP_ID", "org")
    assert outcome(register, vector) == outcome(authenticate, vector) == "wrong relying party"


def test_a_length_in_place_of_bytes_allocates_nothing(relying_party):
    """fido2 would make so many zero bytes of an integer."""
    vector = VECTORS["packed-es256"]
    part = vector["registration"]
    response = members(part, "clientDataJSON", "attestationObject")
    statement = cbor.decode(decode(response["attestationObject"]))
    for value in (2**40, "text", [], {}, True):
        changed = {**statement, "authData": value}
        response["attestationObject"] = encode(cbor.encode(changed))
        with pytest.raises(PasskeyInvalid):
            webauthn.verify_registration(
                bytes.fromhex(part["challenge"]), credential(vector, response)
            )
