"""Passkeys: the ceremonies of WebAuthn Level 3, and the table of credential records.

A passkey has verified its user and proves possession, so that it is both factors of a login. fido2
parses and verifies what authenticators sign. The checks around it are made here: type, challenge,
exact origin, frames, flags, owner and counter (§7.1, §7.2).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.utils import bytes2int, sha256, websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AuthenticatorData
from flask import current_app
from sqlalchemy import Row, bindparam, delete, func, select, update

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_all, fetch_one, insert_into
from pycoder.errors import PasskeyExists, PasskeyInvalid, PasskeyUnknown, Problem
from pycoder.extensions import db
from pycoder.http.cors import is_origin_within
from pycoder.mfa import challenges
from pycoder.mfa.challenges import Challenge
from pycoder.models.mfa import Passkey
from pycoder.models.user import User
from pycoder.strict_json import strict_loads

MAXIMUM_PASSKEYS = 20  # of an account
CREDENTIAL_ID_LENGTH = 1023  # bytes (§7.1, step 25)
RSA_BITS = range(2048, 4097)
KEY_TYPES = {-8: 1, -7: 2, -257: 3}  # of EdDSA, ES256 and RS256, by COSE algorithm (RFC 9053)
CREATE, GET = "webauthn.create", "webauthn.get"
TIMEOUT = int(challenges.LIFETIME.total_seconds() * 1000)
BASE64URL = re.compile(r"[\w-]*", re.ASCII)
TRANSPORT = re.compile(r"[a-z-]{1,20}")
FLAG = AuthenticatorData.FLAG


class CounterFell(PasskeyInvalid):
    """A correct signature with a counter that did not rise: the passkey may be a copy."""


class Registration(NamedTuple):
    """The part of a new credential that is stored."""

    data: AuthenticatorData
    transports: list[str]


class Assertion(NamedTuple):
    """A verified signature of a passkey, which is not used up yet."""

    passkey: Row[Any]
    data: AuthenticatorData
    challenge: Challenge


def creation_options(user: User, challenge: bytes, existing: Sequence[Passkey]) -> dict[str, Any]:
    """Return what ``navigator.credentials.create()`` takes, as JSON (§5.4)."""
    return {
        "rp": {"id": _rp_id(), "name": "PyCoder"},
        "user": _user_entity(user),
        "challenge": websafe_encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in KEY_TYPES],
        "timeout": TIMEOUT,
        "excludeCredentials": [
            {"type": "public-key", "id": each.credential_id, "transports": each.transports}
            for each in existing
        ],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def _user_entity(user: User) -> dict[str, str]:
    """Return how authenticators store and show a user (§5.4.3)."""
    name = f"{user.first_name} {user.last_name}".strip() or user.username
    return {"id": websafe_encode(user.handle), "name": user.email, "displayName": name}


def signals(user: User) -> dict[str, Any]:
    """Return the passkeys of a user that are accepted, and the present names (§5.1.10)."""
    entity = _user_entity(user)
    return {
        "rp_id": _rp_id(),
        "user_id": entity["id"],
        "credential_ids": [each.credential_id for each in passkeys_of(user.id)],
        "name": entity["name"],
        "display_name": entity["displayName"],
    }


def request_options() -> dict[str, Any]:
    """Return a ticket, and what ``navigator.credentials.get()`` takes, as JSON (§5.5).

    They name no credential, so that they are alike for every user.
    """
    ticket, challenge = challenges.create_challenge()
    options = {
        "challenge": websafe_encode(challenge),
        "timeout": TIMEOUT,
        "rpId": _rp_id(),
        "allowCredentials": [],
        "userVerification": "required",
    }
    return {"ticket": ticket, "publicKey": options}


def verify_registration(challenge: bytes, credential: Mapping[str, Any]) -> Registration:
    """Verify a new credential for a challenge (§7.1). Raises ``PasskeyInvalid``.

    Its attestation is ignored, as none is asked for.
    """
    with _malformed():
        response = credential["response"]
        raw_id = _raw_id(credential)
        _check_client_data(_decoded(response, "clientDataJSON"), CREATE, challenge)
        attestation = _decoded(response, "attestationObject")
        _require(isinstance(cbor.decode(attestation)["authData"], bytes), "malformed")  # type: ignore[call-overload,index]
        data = AttestationObject(attestation).auth_data
        _check_authenticator_data(data)
        _require(data.credential_data is not None, "no key")
        _require(data.credential_data.credential_id == raw_id, "wrong credential id")  # type: ignore[union-attr]
        _check_key(data.credential_data.public_key)  # type: ignore[union-attr]
        named = response.get("transports") or []
        usable = {each for each in named if isinstance(each, str) and TRANSPORT.fullmatch(each)}
        return Registration(data, sorted(usable)[:8])


def verify_assertion(
    ticket: str, credential: Mapping[str, Any], user_id: int | None = None
) -> Assertion:
    """Verify the signature of a passkey for the challenge of a ticket (§7.2).

    Without ``user_id``, the passkey names its user. Nothing is written. Raises ``PasskeyUnknown``
    if the request is correct, but no such passkey exists, and else ``PasskeyInvalid``.
    """
    challenge = challenges.read_challenge(ticket)
    if challenge is None:
        raise PasskeyInvalid("unknown or expired challenge")
    with _malformed():
        response = credential["response"]
        raw_id, raw_data = _raw_id(credential), _decoded(response, "authenticatorData")
        client_data, signature = (_decoded(response, n) for n in ("clientDataJSON", "signature"))
        handle = response.get("userHandle")
        handle = None if handle is None else _decoded(response, "userHandle")
        _check_client_data(client_data, GET, challenge.value)
        data = AuthenticatorData(raw_data)
        _check_authenticator_data(data)
    passkey = fetch_one(_BY_CREDENTIAL_ID, {"credential_id": websafe_encode(raw_id)})
    if passkey is None:
        raise PasskeyUnknown("unknown credential")
    _require(passkey.rp_id == _rp_id(), "credential of another relying party")
    _require(user_id in (None, passkey.user_id), "credential of another user")
    is_identified = user_id is not None and handle is None
    _require(is_identified or handle == passkey.handle, "wrong user handle")
    _require(passkey.backup_eligible == data.is_backup_eligible(), "backup eligibility changed")
    check_signature(passkey.public_key, raw_data + sha256(client_data), signature)
    return Assertion(passkey, data, challenge)


_BY_CREDENTIAL_ID = (
    select(Passkey.__table__, User.handle)
    .join(User, User.id == Passkey.user_id)
    .where(Passkey.credential_id == bindparam("credential_id"))
)


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Verify a signature by a COSE key. Raises ``PasskeyInvalid``."""
    with _malformed("wrong signature"):
        CoseKey.parse(cbor.decode(public_key)).verify(message, signature)  # type: ignore[arg-type]


def use(assertion: Assertion) -> None:
    """Use an assertion up in the caller's transaction, once.

    One INSERT decides over the challenge, and one conditional UPDATE over the counter. A passkey
    that was removed since it was verified is refused. The caller holds ``lock_user``. Raises
    ``CounterFell`` and ``PasskeyInvalid``.
    """
    _require(challenges.use_challenge(assertion.challenge), "challenge used before")
    counter, data = assertion.data.counter, assertion.data
    own = Passkey.id == assertion.passkey.id
    rises = Passkey.sign_count < counter if counter else Passkey.sign_count == 0
    used = update(Passkey).where(own, rises)
    values = {"sign_count": counter, "backed_up": data.is_backed_up(), "last_used_at": now()}
    if not execute_in_transaction(used.values(values)):
        exists = db.session.scalar(select(Passkey.id).where(own)) is not None
        raise CounterFell("the counter did not rise") if exists else PasskeyInvalid("removed")


def store(user_id: int, registration: Registration, name: str) -> Passkey:
    """Add a passkey to the caller's transaction. Raises ``PasskeyExists``."""
    data, transports = registration
    credential: Any = data.credential_data
    row = {
        "user_id": user_id,
        "credential_id": websafe_encode(credential.credential_id),
        "public_key": cbor.encode(dict(credential.public_key)),
        "sign_count": data.counter,
        "rp_id": _rp_id(),
        "aaguid": str(credential.aaguid),
        "transports": transports,
        "backup_eligible": data.is_backup_eligible(),
        "backed_up": data.is_backed_up(),
        "name": name,
        "created_at": now(),
    }
    if not execute_in_transaction(insert_into(Passkey).values(row).on_conflict_do_nothing()):
        raise PasskeyExists
    own = Passkey.credential_id == row["credential_id"]
    return db.session.scalars(select(Passkey).where(own)).one()


def passkeys_of(user_id: int) -> Sequence[Passkey]:
    """Return the passkeys of a user, oldest first."""
    theirs = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
    return db.session.scalars(theirs).all()


def remove(user_id: int, passkey_id: int) -> bool:
    """Remove a passkey of a user, and return whether there was one."""
    own = (Passkey.id == passkey_id, Passkey.user_id == user_id)
    return execute_in_transaction(delete(Passkey).where(*own)) == 1


def usable_left(user_id: int) -> int:
    """Return how many passkeys of a user can sign in at the present relying party."""
    usable = (Passkey.user_id == user_id, Passkey.rp_id == _rp_id())
    return db.session.scalar(select(func.count(Passkey.id)).where(*usable)) or 0


def orphaned() -> Mapping[str, int]:
    """Return the number of passkeys by relying party, for all but the present one.

    No browser offers them any more, because ``PASSKEY_RP_ID`` was another one.
    """
    others = select(Passkey.rp_id, func.count().label("number")).group_by(Passkey.rp_id)
    rows = fetch_all(others.where(Passkey.rp_id != bindparam("present")), {"present": _rp_id()})
    return {row.rp_id: row.number for row in rows}


def _check_client_data(raw: bytes, kind: str, challenge: bytes) -> None:
    """Check the client data that a browser wrote (§7.1 and §7.2, steps 5 to 11).

    A page in a frame of another site is refused.
    """
    data = strict_loads(raw)
    _require(data["type"] == kind, "wrong type")
    _require(_decoded(data, "challenge") == challenge, "wrong challenge")
    _require(is_origin_within(data["origin"], _rp_id()), "wrong origin")
    is_framed = data.get("crossOrigin", False) is not False or "topOrigin" in data
    _require(not is_framed, "frame of another site")


def _check_authenticator_data(data: AuthenticatorData) -> None:
    """Check the relying party and the flags that an authenticator signed."""
    _require(data.rp_id_hash == sha256(_rp_id().encode()), "wrong relying party")
    _require(data.is_user_present(), "user not present")
    _require(data.is_user_verified(), "user not verified")
    _require(data.is_backup_eligible() or not data.is_backed_up(), "impossible backup state")


def _check_key(key: CoseKey) -> None:
    """Check that a public key is of an algorithm that was offered, and can verify."""
    _require(KEY_TYPES.get(key.ALGORITHM) == key.get(1), "algorithm not offered")
    if key.ALGORITHM == -257:
        modulus, exponent = bytes2int(key[-1]), bytes2int(key[-2])
        _require(modulus.bit_length() in RSA_BITS and exponent < 2**32, "unusual RSA key")
    try:
        key.verify(b"", bytes(64))
    except InvalidSignature:
        return
    raise PasskeyInvalid("key without use")


@contextmanager
def _malformed(reason: str = "malformed") -> Iterator[None]:
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


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise PasskeyInvalid(reason)


def _raw_id(credential: Mapping[str, Any]) -> bytes:
    """Return the id of a credential."""
    raw_id = _decoded(credential, "rawId")
    _require(credential["type"] == "public-key", "malformed")
    _require(credential.get("id", credential["rawId"]) == credential["rawId"], "malformed")
    _require(0 < len(raw_id) <= CREDENTIAL_ID_LENGTH, "malformed")
    return raw_id


def _decoded(members: Mapping[str, Any], name: str) -> bytes:
    """Return a member in base64url as bytes. A number would become as many zeros."""
    text = members[name].rstrip("=")
    _require(BASE64URL.fullmatch(text) is not None, "malformed")
    return websafe_decode(text)


def _rp_id() -> str:
    return str(current_app.config["PASSKEY_RP_ID"])
