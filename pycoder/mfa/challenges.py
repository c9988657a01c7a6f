"""Challenges of logins by passkey, which are not stored until they come back.

A login page asks for one at every visit, so that a flood of visits must not write. A challenge is
part of a signed ticket. When it comes back, it is stored until it expires, and the unique key of
the table refuses a second use (WebAuthn Level 3 §13.4.3).
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from fido2.utils import websafe_decode, websafe_encode
from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.mfa.pending import digest_of
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.secret_key import derive_key

USED = "passkey_used"  # the kind of pending authentication
LIFETIME = timedelta(minutes=5)
LENGTH = 32  # bytes


class Challenge(NamedTuple):
    """Random bytes for an authenticator to sign, and until when."""

    value: bytes
    expires_at: datetime


def create_challenge() -> tuple[str, bytes]:
    """Return a new ticket and the challenge in it."""
    value = secrets.token_bytes(LENGTH)
    expires_at = int((now() + LIFETIME).timestamp())
    return str(_serializer().dumps([websafe_encode(value), expires_at])), value


def read_challenge(ticket: str) -> Challenge | None:
    """Return the challenge of a ticket, or ``None`` if it is forged or has expired."""
    try:
        value, expires_at = _serializer().loads(ticket)
    except BadData:
        return None
    challenge = Challenge(websafe_decode(value), datetime.fromtimestamp(expires_at, UTC))
    return challenge if challenge.expires_at > now() else None


def use_challenge(challenge: Challenge) -> bool:
    """Use a challenge up in the caller's transaction.

    Return whether it was unused. The row belongs to no user, so that nothing deletes it before it
    expires.
    """
    row: dict[str, Any] = {
        "digest": digest_of(websafe_encode(challenge.value)),
        "kind": USED,
        "user_id": None,
        "session_id": None,
        "origin": "",
        "data": {},
        "tries": 0,
        "expires_at": challenge.expires_at,
    }
    used = insert_into(PendingAuthentication).values(row).on_conflict_do_nothing()
    return execute_in_transaction(used) == 1


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(derive_key(current_app.config["SECRET_KEY"], "passkey challenges"))
