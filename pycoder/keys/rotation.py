"""Rotation of the signing keys, and their emergency retirement.

Both are use cases of the command line: one call is one transaction, and commits.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import delete, func, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, select_batch
from pycoder.errors import InvalidInput, KeysUnreadable
from pycoder.extensions import db
from pycoder.keys.key import Key
from pycoder.keys.ring import current_ring, signing_key
from pycoder.keys.store import (
    CLOCK_SKEW,
    StoredKey,
    load_stored_keys,
    new_key,
    publication_period,
)
from pycoder.models.key import SigningKey
from pycoder.models.session import Session

BATCH = 1000  # sessions that end in one transaction


class KeyStatus(NamedTuple):
    """A key as ``flask keys list`` shows it. Times are UTC."""

    kid: str
    algorithm: str
    state: str
    signs_from: datetime
    verifies_until: datetime | None


def rotate() -> KeyStatus:
    """Store a new key, which signs after the publication period.

    Its algorithm is ``JWT_ALGORITHM``. Delete the keys whose tokens expired so long ago that no
    session of theirs is left. Raises ``KeysUnreadable``.
    """
    current_ring()  # stores the first key, if there is none
    gone = now().timestamp() - current_app.config["SESSION_LIFETIME"]
    for key in load_stored_keys():
        if key.verify_until < gone:
            _delete_key(key)
    added = _store_next_key(now() + publication_period())
    audit.record(Event.KEY_ROTATED, reason=added.kid[:40])
    db.session.commit()
    return list_keys()[0]


def retire(kid: str) -> int:
    """Delete a key, revoke the sessions that it signed for, and return their number.

    If it is the key that signs, a new one signs at once. Raises ``InvalidInput`` for an unknown
    key.
    """
    stored = load_stored_keys()
    retired = next((key for key in stored if key.kid == kid), None)
    revoked = _revoke_sessions_signed_by(retired) if retired else 0
    if not retired or not _delete_key(retired):
        raise InvalidInput({"kid": ["There is no such key."]})
    audit.record(Event.KEY_RETIRED, reason=kid[:40])
    not_before = datetime.fromtimestamp(retired.not_before, UTC)
    since = min(now(), not_before)
    if retired == signing_key(stored):
        audit.record(Event.KEY_CREATED, reason=_store_next_key(since).kid[:40])
    elif since == not_before:  # a key that has not signed yet leaves no gap
        _advance_successor(stored[stored.index(retired) - 1], since)
    db.session.commit()
    return revoked


def replace_keys() -> None:
    """Replace all keys by one that signs at once, in the caller's transaction.

    This ends all tokens. The old keys need not be readable.
    """
    stored = load_stored_keys()
    audit.record(Event.KEY_CREATED, reason=_store_next_key(now()).kid[:40])
    for key in stored:
        _delete_key(key)
        audit.record(Event.KEY_RETIRED, reason=key.kid[:40])


def _advance_successor(successor: StoredKey, since: datetime) -> None:
    """Make the successor of a retired key begin when the retired key did.

    A key stops verifying some time after the next one begins. With the retired key gone, the one
    before it would verify again.
    """
    same = SigningKey.number == successor.number
    execute_in_transaction(
        update(SigningKey).where(same, SigningKey.not_before > since).values(not_before=since)
    )


def _store_next_key(not_before: datetime) -> Key:
    """Store a key with the next free number in the caller's transaction."""
    while True:
        latest = db.session.scalar(select(func.max(SigningKey.number))) or 0
        key, insert = new_key(not_before, number=latest + 1)
        if execute_in_transaction(insert):
            return key


def _delete_key(key: StoredKey) -> int:
    """Delete a key, but not one that took its number since it was loaded."""
    same = (SigningKey.number == key.number) & (SigningKey.encrypted_key == key.encrypted_key)
    return execute_in_transaction(delete(SigningKey).where(same))


def _revoke_sessions_signed_by(key: StoredKey) -> int:
    """Revoke the sessions that a key signed for, and return their number.

    All batches but the last are committed. The times of a session determine the keys that signed
    for it: those from its creation until its last rotation, and for as long as that may be retried.
    """
    retries = timedelta(seconds=current_app.config["REFRESH_RETRY_WINDOW"])
    since = datetime.fromtimestamp(key.not_before - CLOCK_SKEW, UTC) - retries
    signed = func.coalesce(Session.rotated_at, Session.created_at) >= since
    if key.superseded_at < math.inf:
        signed &= Session.created_at <= datetime.fromtimestamp(key.superseded_at + CLOCK_SKEW, UTC)
    signed &= Session.revoked_at.is_(None) & (Session.expires_at > now())
    revoke, total = update(Session).where(signed).values(revoked_at=now()), 0
    batch = revoke.where(Session.id.in_(select_batch(Session.id, signed)))
    while revoked := execute_in_transaction(batch, {"batch": BATCH}):
        total += revoked
        db.session.commit()
    return total + execute_in_transaction(revoke)


def list_keys() -> list[KeyStatus]:
    """Return all stored keys, newest first, also those that cannot be decrypted."""
    stored = load_stored_keys()
    return [
        KeyStatus(
            key.kid,
            key.algorithm,
            _state(key, stored),
            datetime.fromtimestamp(key.not_before, UTC),
            datetime.fromtimestamp(key.verify_until, UTC) if key.verify_until < math.inf else None,
        )
        for key in stored
    ]


def _state(key: StoredKey, stored: list[StoredKey]) -> str:
    try:
        key.decrypt()
    except KeysUnreadable:
        return "unreadable"
    if key is signing_key(stored):
        return "signs"
    if now().timestamp() < key.not_before < key.superseded_at:
        return "is published"
    return "verifies" if key.verify_until > now().timestamp() else "is over"
