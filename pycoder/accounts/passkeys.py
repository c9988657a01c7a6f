"""The passkeys of the current user: add, list, rename and remove them."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from fido2.utils import websafe_decode

from pycoder import audit
from pycoder.accounts.factors import NOTICES, record_change, record_removal, require_verified_email
from pycoder.accounts.identifiers import is_valid_name
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    lock_session_owner,
    require_proof,
    require_reauthentication,
)
from pycoder.audit import Event
from pycoder.errors import (
    FieldError,
    InvalidInput,
    LastCredential,
    NotFound,
    PasskeyInvalid,
    TokenRevoked,
    TooManyPasskeys,
)
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.mfa import challenges, factors, passkeys, pending, recovery_codes, webauthn
from pycoder.models.mfa import Passkey
from pycoder.models.user import User
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.tokens.state import TokenState

PASSKEY_SETUP = "passkey_setup"  # the kind of pending authentication
DEFAULT_NAME = "Passkey"
NAME_LENGTH = 60
MAXIMUM_ID = 2**63 - 1  # of a column of integers
INVALID_NAME = FieldError(
    "invalid_name",
    f"Use 1 to {NAME_LENGTH} characters, and no control or invisible characters.",
    maximum=NAME_LENGTH,
)


def begin_passkey(
    current: TokenState, *, password: str | None = None, proof: str | None = None
) -> dict[str, Any]:
    """Return a ticket and the options to create a passkey.

    The ticket ends with the session, and with every change of the password, the address or the
    factors. Its bytes are the challenge. Raises ``EmailUnverified``, ``TooManyPasskeys``, what
    ``require_reauthentication`` raises, and ``TokenRevoked``.
    """
    require_reauthentication(current, password, proof)
    require_verified_email(current)
    user = lock_reauthenticated_owner(current, proof)
    existing = _require_room(user)
    session_id, lifetime = current.session_id, challenges.LIFETIME
    ticket = pending.create(PASSKEY_SETUP, user.id, lifetime, session_id=session_id)
    options = passkeys.creation_options(user, websafe_decode(ticket), existing)
    db.session.commit()
    return {"ticket": ticket, "publicKey": options}


def signal_passkeys(current: TokenState) -> dict[str, Any]:
    """Return which passkeys an account has, and its names, for its authenticators.

    Raises ``TokenRevoked`` for a deleted account.
    """
    user = db.session.get(User, current.user_id)
    if user is None:
        raise TokenRevoked
    return passkeys.signals(user)


def add_passkey(
    current: TokenState, ticket: str, credential: Mapping[str, Any], name: str = ""
) -> dict[str, Any]:
    """Add the passkey that was created for a ticket, and return it.

    The first factor of an account comes with recovery codes, and ends every other session. Raises
    ``InvalidInput``, ``PasskeyInvalid``, ``PasskeyExists``, ``TooManyPasskeys`` and
    ``TokenRevoked``.
    """
    name = _valid_name(name or DEFAULT_NAME)
    setup = pending.find(PASSKEY_SETUP, ticket)
    own = (current.user_id, current.session_id)
    if setup is None or (setup.user_id, setup.session_id) != own:
        raise PasskeyInvalid
    registration = webauthn.verify_registration(websafe_decode(ticket), credential)
    user = lock_session_owner(current)
    if not pending.take(PASSKEY_SETUP, ticket):
        raise PasskeyInvalid
    _require_room(user)
    is_first = not factors.methods_of(user.id)
    passkey = passkeys.store(user.id, registration, name)
    added: dict[str, Any] = {"passkey": passkey}
    if is_first:
        added["recovery_codes"] = recovery_codes.replace_codes(user.id)
        record_change(user, current, Event.PASSKEY_ADDED, is_first=True)
    else:
        _record_addition(user, current)
    db.session.commit()
    return added


def _record_addition(user: User, current: TokenState) -> None:
    """Record a further passkey, and mail the owner. Other sessions go on."""
    event = Event.PASSKEY_ADDED
    audit.record(event, user_id=user.id, session_id=current.session_id)
    queue.enqueue(NOTICES[event], user.email, user_id=user.id)


def _require_room(user: User) -> Sequence[Passkey]:
    existing = passkeys.passkeys_of(user.id)
    if len(existing) >= passkeys.MAXIMUM_PASSKEYS:
        raise TooManyPasskeys
    return existing


def rename_passkey(current: TokenState, passkey_id: int, name: str, proof: str | None) -> Passkey:
    """Rename a passkey, and return it.

    Raises ``InvalidInput``, ``ReauthenticationRequired``, ``NotFound`` and ``TokenRevoked``.
    """
    name = _valid_name(name)
    require_proof(current, proof)
    user = lock_reauthenticated_owner(current, proof)
    passkey = next((one for one in passkeys.passkeys_of(user.id) if one.id == passkey_id), None)
    if passkey is None:
        raise NotFound
    passkey.name = name
    db.session.commit()
    return passkey


def remove_passkey(current: TokenState, passkey_id: int, proof: str | None) -> None:
    """Remove a passkey. Every other session ends.

    Raises ``ReauthenticationRequired``, ``NotFound``, ``LastCredential`` and ``TokenRevoked``.
    """
    require_proof(current, proof)
    user = lock_reauthenticated_owner(current, proof)
    if passkey_id > MAXIMUM_ID or not passkeys.remove(user.id, passkey_id):
        raise NotFound
    if user.password_hash == NO_PASSWORD and not passkeys.usable_left(user.id):
        db.session.rollback()
        raise LastCredential
    record_removal(user, current, Event.PASSKEY_REMOVED)
    db.session.commit()


def _valid_name(name: str) -> str:
    """Return the name of a passkey in NFC. Raises ``InvalidInput``."""
    name = unicodedata.normalize("NFC", name.strip())
    if not 0 < len(name) <= NAME_LENGTH or not is_valid_name(name):
        raise InvalidInput({"name": [INVALID_NAME]})
    return name
