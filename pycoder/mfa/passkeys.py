"""Passkeys: their options, their records, and what uses them up.

A passkey has verified its user and proves possession, so that it is both factors of a login.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fido2 import cbor
from fido2.utils import websafe_encode
from fido2.webauthn import AuthenticatorData
from sqlalchemy import Row, bindparam, delete, func, select, update

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_all, fetch_one, insert_into
from pycoder.errors import PasskeyExists, PasskeyInvalid, PasskeyUnknown
from pycoder.extensions import db
from pycoder.mfa import challenges, webauthn
from pycoder.mfa.challenges import Challenge
from pycoder.mfa.webauthn import Registration, require, rp_id
from pycoder.models.mfa import Passkey
from pycoder.models.user import User

MAXIMUM_PASSKEYS = 20  # of an account
TIMEOUT = int(challenges.LIFETIME.total_seconds() * 1000)
COUNTER_FELL = "counter did not rise"


class Assertion(NamedTuple):
    """A verified signature of a passkey, which is not used up yet."""

    passkey: Row[Any]
    data: AuthenticatorData
    challenge: Challenge


def creation_options(user: User, challenge: bytes, existing: Sequence[Passkey]) -> dict[str, Any]:
    """Return what ``navigator.credentials.create()`` takes, as JSON (§5.4)."""
    return {
        "rp": {"id": rp_id(), "name": "PyCoder"},
        "user": {"id": websafe_encode(user.handle), **_names(user)},
        "challenge": websafe_encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in webauthn.KEY_TYPES],
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


def signals(user: User) -> dict[str, Any]:
    """Return what the signals of browsers take, for all of them together (§5.1.10)."""
    return {
        "rpId": rp_id(),
        "userId": websafe_encode(user.handle),
        **_names(user),
        "allAcceptedCredentialIds": [each.credential_id for each in passkeys_of(user.id)],
    }


def _names(user: User) -> dict[str, str]:
    """Return the names by which authenticators show an account."""
    name = f"{user.first_name} {user.last_name}".strip() or user.username
    return {"name": user.email, "displayName": name}


def request_options() -> dict[str, Any]:
    """Return a ticket, and what ``navigator.credentials.get()`` takes, as JSON (§5.5).

    They name no credential, so that they are alike for every user.
    """
    ticket, challenge = challenges.create_challenge()
    options = {
        "challenge": websafe_encode(challenge),
        "timeout": TIMEOUT,
        "rpId": rp_id(),
        "allowCredentials": [],
        "userVerification": "required",
    }
    return {"ticket": ticket, "publicKey": options}


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
    signed = webauthn.read_assertion(challenge.value, credential)
    passkey = fetch_one(_BY_CREDENTIAL_ID, {"credential_id": websafe_encode(signed.credential_id)})
    if passkey is None:
        raise PasskeyUnknown("unknown credential")
    require(passkey.rp_id == rp_id(), "credential of another relying party")
    require(user_id in (None, passkey.user_id), "credential of another user")
    is_identified = user_id is not None and signed.handle is None
    require(is_identified or signed.handle == passkey.handle, "wrong user handle")
    is_eligible = signed.data.is_backup_eligible()
    require(passkey.backup_eligible == is_eligible, "backup eligibility changed")
    webauthn.check_signature(passkey.public_key, signed.message, signed.signature)
    return Assertion(passkey, signed.data, challenge)


_BY_CREDENTIAL_ID = (
    select(Passkey.__table__, User.handle)
    .join(User, User.id == Passkey.user_id)
    .where(Passkey.credential_id == bindparam("credential_id"))
)


def use(assertion: Assertion) -> None:
    """Use an assertion up in the caller's transaction, once.

    One INSERT decides over the challenge, and one conditional UPDATE over the counter. A passkey
    that was removed since it was verified is refused. The caller holds ``lock_user``. Raises
    ``PasskeyInvalid``, with the reason ``COUNTER_FELL`` for a correct signature by what may be a
    copy.
    """
    require(challenges.use_challenge(assertion.challenge), "challenge used before")
    counter, data = assertion.data.counter, assertion.data
    own = Passkey.id == assertion.passkey.id
    rises = Passkey.sign_count < counter if counter else Passkey.sign_count == 0
    used = update(Passkey).where(own, rises)
    values = {"sign_count": counter, "backed_up": data.is_backed_up(), "last_used_at": now()}
    if not execute_in_transaction(used.values(values)):
        exists = db.session.scalar(select(Passkey.id).where(own)) is not None
        raise PasskeyInvalid(COUNTER_FELL if exists else "removed passkey")


def store(user_id: int, registration: Registration, name: str) -> Passkey:
    """Add a passkey to the caller's transaction. Raises ``PasskeyExists``."""
    data, transports = registration
    credential: Any = data.credential_data
    row = {
        "user_id": user_id,
        "credential_id": websafe_encode(credential.credential_id),
        "public_key": cbor.encode(dict(credential.public_key)),
        "sign_count": data.counter,
        "rp_id": rp_id(),
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
    usable = (Passkey.user_id == user_id, Passkey.rp_id == rp_id())
    return db.session.scalar(select(func.count(Passkey.id)).where(*usable)) or 0


def orphaned() -> Mapping[str, int]:
    """Return the number of passkeys by relying party, for all but the present one.

    No browser offers them any more, because ``PASSKEY_RP_ID`` was another one.
    """
    others = select(Passkey.rp_id, func.count().label("number")).group_by(Passkey.rp_id)
    rows = fetch_all(others.where(Passkey.rp_id != bindparam("present")), {"present": rp_id()})
    return {row.rp_id: row.number for row in rows}
