"""Rotation of the signing keys, and their emergency retirement."""

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import delete, func, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, select_batch
from pycoder.errors import InvalidInput, KeysUnreadable
from pycoder.extensions import db
from pycoder.keys import store
from pycoder.keys.key import Key
from pycoder.keys.ring import current_ring, signing_key
from pycoder.keys.store import CLOCK_SKEW, StoredKey
from pycoder.models.key import SigningKey
from pycoder.models.session import Session

BATCH = 1000  # sessions that are ended in one transaction


class KeyStatus(NamedTuple):
    """What an operator is told of a key; times in UTC."""

    kid: str
    algorithm: str
    state: str
    signs_from: datetime
    verifies_until: datetime | None


def rotate(*, client: ClientInfo) -> KeyStatus:
    """Make a new key of the algorithm in the settings, which signs once everybody has it.

    Keys go for good when their last token has expired for so long that its session is gone, too.
    Raises ``KeysUnreadable``.
    """
    current_ring()  # which makes the first one, if need be
    gone = now().timestamp() - current_app.config["SESSION_LIFETIME"]
    for kept in store.load_stored_keys():
        if kept.ends_at < gone:
            _delete_key(kept)
    key = _store_next_key(now() + store.publication_period())
    audit.record(Event.KEY_ROTATED, client, reason=key.kid[:40])
    db.session.commit()
    return list_keys()[0]


def retire(kid: str, *, client: ClientInfo) -> int:
    """Take a key out of service and end the sessions that it signed for; return how many.

    If it is the one that signs, a new one does at once. Raises ``InvalidInput``.
    """
    found = store.load_stored_keys()
    retired = next((kept for kept in found if kept.kid == kid), None)
    ended = _end_sessions_signed_by(retired) if retired else 0
    if not retired or not _delete_key(retired):
        raise InvalidInput({"kid": ["There is no such key."]})
    audit.record(Event.KEY_RETIRED, client, reason=kid[:40])
    began = datetime.fromtimestamp(retired.signs_from, UTC)
    since = min(now(), began)
    if retired == signing_key(found):
        audit.record(Event.KEY_CREATED, client, reason=_store_next_key(since).kid[:40])
    elif since == began:  # one whose time has not come leaves none
        _advance_successor(found[found.index(retired) - 1], since)
    db.session.commit()
    return ended


def _advance_successor(newer: StoredKey, since: datetime) -> None:
    """Have the next newer key take over a retired one's time.

    A key ends by when the next one begins: the one before would be good again.
    """
    same = SigningKey.number == newer.number
    execute_in_transaction(
        update(SigningKey).where(same, SigningKey.signs_from > since).values(signs_from=since)
    )


def _store_next_key(signs_from: datetime) -> Key:
    """Add a key with the next number in the caller's transaction."""
    while True:
        latest = db.session.scalar(select(func.max(SigningKey.number))) or 0
        if key := store.store_key(signs_from, number=latest + 1):
            return key


def _delete_key(kept: StoredKey) -> int:
    """Delete a key, and never the one that took its number since it was read."""
    same = (SigningKey.number == kept.number) & (SigningKey.sealed == kept.sealed)
    return execute_in_transaction(delete(SigningKey).where(same))


def _end_sessions_signed_by(kept: StoredKey) -> int:
    """End the sessions that a key signed for: many by transactions of their own, the last in this.

    A session's times tell without a column for it: it was signed for from its beginning until its
    last rotation, and for as long after as that one may be repeated.
    """
    retries = timedelta(seconds=current_app.config["REFRESH_RETRY_WINDOW"])
    since = datetime.fromtimestamp(kept.signs_from - CLOCK_SKEW, UTC) - retries
    signed = func.coalesce(Session.rotated_at, Session.created_at) >= since
    if kept.stops_at < math.inf:
        signed &= Session.created_at <= datetime.fromtimestamp(kept.stops_at + CLOCK_SKEW, UTC)
    signed &= Session.revoked_at.is_(None) & (Session.expires_at > now())
    end, total = update(Session).where(signed).values(revoked_at=now()), 0
    some = end.where(Session.id.in_(select_batch(Session.id, signed)))
    while ended := execute_in_transaction(some, {"batch": BATCH}):
        total += ended
        db.session.commit()
    return total + execute_in_transaction(end)


def list_keys() -> list[KeyStatus]:
    """Return all keys that are kept, the newest first, whether or not they can be opened."""
    found = store.load_stored_keys()
    return [
        KeyStatus(
            kept.kid,
            kept.algorithm,
            _state(kept, found),
            datetime.fromtimestamp(kept.signs_from, UTC),
            datetime.fromtimestamp(kept.ends_at, UTC) if kept.ends_at < math.inf else None,
        )
        for kept in found
    ]


def _state(kept: StoredKey, found: list[StoredKey]) -> str:
    try:
        kept.opened()
    except KeysUnreadable:
        return "unreadable"
    if kept is signing_key(found):
        return "signs"
    if now().timestamp() < kept.signs_from < kept.stops_at:
        return "is published"
    return "verifies" if kept.ends_at > now().timestamp() else "is over"
