"""Verify what browsers send in the ceremonies of passkeys (WebAuthn Level 3 §7).

fido2 parses what authenticators write, and verifies signatures. The checks around it are made here:
type, challenge, exact origin, frames, relying party, flags, key.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.utils import bytes2int, sha256, websafe_decode
from fido2.webauthn import AttestationObject, AuthenticatorData
from flask import current_app

from pycoder.errors import PasskeyInvalid, Problem
from pycoder.http.cors import is_origin_within
from pycoder.strict_json import strict_loads

CREDENTIAL_ID_LENGTH = 1023  # bytes (§7.1, step 25)
RSA_BITS = range(2048, 4097)
KEY_TYPES = {-8: 1, -7: 2, -257: 3}  # of EdDSA, ES256 and RS256, by COSE algorithm (RFC 9053)
CREATE, GET = "webauthn.create", "webauthn.get"
BASE64URL = re.compile(r"[\w-]*", re.ASCII)
TRANSPORT = re.compile(r"[a-z-]{1,20}")


class Registration(NamedTuple):
    """The part of a new credential that is stored."""

    data: AuthenticatorData
    transports: list[str]


class Signed(NamedTuple):
    """What an authenticator signed, and the passkey and user that it names."""

    credential_id: bytes
    handle: bytes | None
    data: AuthenticatorData
    message: bytes
    signature: bytes


def verify_registration(challenge: bytes, credential: Mapping[str, Any]) -> Registration:
    """Verify a new credential for a challenge (§7.1). Raises ``PasskeyInvalid``.

    Its attestation is ignored, as none is asked for.
    """
    with refuse_malformed():
        response = credential["response"]
        raw_id = _raw_id(credential)
        _check_client_data(_decoded(response, "clientDataJSON"), CREATE, challenge)
        attestation = _decoded(response, "attestationObject")
        require(isinstance(cbor.decode(attestation)["authData"], bytes), "malformed")  # type: ignore[call-overload,index]
        data = AttestationObject(attestation).auth_data
        _check_authenticator_data(data)
        require(data.credential_data is not None, "no key")
        require(data.credential_data.credential_id == raw_id, "wrong credential id")  # type: ignore[union-attr]
        _check_key(data.credential_data.public_key)  # type: ignore[union-attr]
        named = response.get("transports") or []
        usable = {each for each in named if isinstance(each, str) and TRANSPORT.fullmatch(each)}
        return Registration(data, sorted(usable)[:8])


def read_assertion(challenge: bytes, credential: Mapping[str, Any]) -> Signed:
    """Read and check the answer to a challenge (§7.2). Raises ``PasskeyInvalid``.

    Its signature is not verified yet, because the credential id names the key.
    """
    with refuse_malformed():
        response = credential["response"]
        raw_id, raw_data = _raw_id(credential), _decoded(response, "authenticatorData")
        client_data, signature = (_decoded(response, n) for n in ("clientDataJSON", "signature"))
        named = response.get("userHandle") is not None
        handle = _decoded(response, "userHandle") if named else None
        _check_client_data(client_data, GET, challenge)
        data = AuthenticatorData(raw_data)
        _check_authenticator_data(data)
        return Signed(raw_id, handle, data, raw_data + sha256(client_data), signature)


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Verify a signature by a COSE key. Raises ``PasskeyInvalid``."""
    with refuse_malformed("wrong signature"):
        CoseKey.parse(cbor.decode(public_key)).verify(message, signature)  # type: ignore[arg-type]


def _check_client_data(raw: bytes, kind: str, challenge: bytes) -> None:
    """Check the client data that a browser wrote (§7.1 and §7.2, steps 5 to 11).

    A page in a frame of another site is refused.
    """
    data = strict_loads(raw)
    require(data["type"] == kind, "wrong type")
    require(_decoded(data, "challenge") == challenge, "wrong challenge")
    require(is_origin_within(data["origin"], rp_id()), "wrong origin")
    is_framed = data.get("crossOrigin", False) is not False or "topOrigin" in data
    require(not is_framed, "frame of another site")


def _check_authenticator_data(data: AuthenticatorData) -> None:
    """Check the relying party and the flags that an authenticator signed."""
    require(data.rp_id_hash == sha256(rp_id().encode()), "wrong relying party")
    require(data.is_user_present(), "user not present")
    require(data.is_user_verified(), "user not verified")
    require(data.is_backup_eligible() or not data.is_backed_up(), "impossible backup state")


def _check_key(key: CoseKey) -> None:
    """Check that a public key is of an algorithm that was offered, and can verify."""
    require(KEY_TYPES.get(key.ALGORITHM) == key.get(1), "algorithm not offered")
    if key.ALGORITHM == -257:
        modulus, exponent = bytes2int(key[-1]), bytes2int(key[-2])
        is_usual = modulus.bit_length() in RSA_BITS and modulus % 2 == 1 and exponent < 2**32
        require(is_usual, "unusual RSA key")
    try:
        key.verify(b"", bytes(64))
    except InvalidSignature:
        return
    raise PasskeyInvalid("key without use")


@contextmanager
def refuse_malformed(reason: str = "malformed") -> Iterator[None]:
    """Refuse what fido2 and cryptography cannot read.

    They raise exceptions of many kinds for input that is not well-formed. Only they may be called
    inside, no database.
    """
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        raise PasskeyInvalid(reason) from error


def require(condition: bool, reason: str) -> None:
    """Raise ``PasskeyInvalid`` with a reason unless a condition holds."""
    if not condition:
        raise PasskeyInvalid(reason)


def _raw_id(credential: Mapping[str, Any]) -> bytes:
    """Return the id of a credential."""
    raw_id = _decoded(credential, "rawId")
    require(credential["type"] == "public-key", "malformed")
    require(credential.get("id", credential["rawId"]) == credential["rawId"], "malformed")
    require(0 < len(raw_id) <= CREDENTIAL_ID_LENGTH, "malformed")
    return raw_id


def _decoded(members: Mapping[str, Any], name: str) -> bytes:
    """Return a member in base64url as bytes. A number would become as many zeros."""
    text = members[name].rstrip("=")
    require(BASE64URL.fullmatch(text) is not None, "malformed")
    return websafe_decode(text)


def rp_id() -> str:
    """Return the present relying party."""
    return str(current_app.config["PASSKEY_RP_ID"])
