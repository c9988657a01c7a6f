"""Rotation of the signing keys: as a routine, which nobody notices, and in an emergency."""

import math
from datetime import UTC, datetime
from typing import NamedTuple

from flask import current_app
from sqlalchemy import delete, func, select, update

from pycoder import audit, keys, keystore
from pycoder.audit import Client, Event
from pycoder.errors import InvalidInput, KeysUnreadable
from pycoder.extensions import batch_of, changed, db
from pycoder.keys import Key
from pycoder.keystore import LATE, Kept
from pycoder.models import Session, SigningKey, now
from pycoder.sessions import RETRY_WINDOW

BATCH = 1000  # sessions that are ended in one transaction


class Listed(NamedTuple):
    """What an operator is told of a key; times in UTC."""

    kid: str
    algorithm: str
    state: str
    signs_from: datetime
    verifies_until: datetime | None


def rotate(*, client: Client) -> Listed:
    """Make a new key of the algorithm in the settings, which signs once everybody has it.

    Keys go for good when their last token has expired for so long that its session is gone, too.
    Raises ``KeysUnreadable``.
    """
    keys.ring()  # which makes the first one, if need be
    gone = now().timestamp() - current_app.config["SESSION_LIFETIME"]
    for kept in keystore.everything():
        if kept.ends_at < gone:
            _delete(kept)
    key = _add(now() + keystore.overlap())
    audit.record(Event.KEY_ROTATED, client, reason=key.kid[:40])
    db.session.commit()
    return listed()[0]


def retire(kid: str, *, client: Client) -> int:
    """Take a key out of service and end the sessions that it signed for; return how many.

    If it is the one that signs, a new one does at once. Raises ``InvalidInput``.
    """
    found = keystore.everything()
    retired = next((kept for kept in found if kept.kid == kid), None)
    ended = _end_signed_by(retired) if retired else 0
    if not retired or not _delete(retired):
        raise InvalidInput({"kid": ["There is no such key."]})
    audit.record(Event.KEY_RETIRED, client, reason=kid[:40])
    began = datetime.fromtimestamp(retired.signs_from, UTC)
    since = min(now(), began)
    if retired == keys.signing(found):
        audit.record(Event.KEY_CREATED, client, reason=_add(since).kid[:40])
    elif since == began:  # one whose time has not come leaves none
        _succeed(found[found.index(retired) - 1], since)
    db.session.commit()
    return ended


def _succeed(newer: Kept, since: datetime) -> None:
    """Have the next newer key take over a retired one's time.

    A key ends by when the next one begins: the one before would be good again.
    """
    same = SigningKey.number == newer.number
    changed(update(SigningKey).where(same, SigningKey.signs_from > since).values(signs_from=since))


def _add(signs_from: datetime) -> Key:
    """Add a key with the next number in the caller's transaction."""
    while True:
        latest = db.session.scalar(select(func.max(SigningKey.number))) or 0
        if key := keystore.add(signs_from, number=latest + 1):
            return key


def _delete(kept: Kept) -> int:
    """Delete a key, and never the one that took its number since it was read."""
    same = (SigningKey.number == kept.number) & (SigningKey.sealed == kept.sealed)
    return changed(delete(SigningKey).where(same))


def _end_signed_by(kept: Kept) -> int:
    """End the sessions that a key signed for: many by transactions of their own, the last in this.

    A session's times tell without a column for it: it was signed for from its beginning until its
    last rotation, and for as long after as that one may be repeated.
    """
    since = datetime.fromtimestamp(kept.signs_from - LATE, UTC) - RETRY_WINDOW
    signed = func.coalesce(Session.rotated_at, Session.created_at) >= since
    if kept.stops_at < math.inf:
        signed &= Session.created_at <= datetime.fromtimestamp(kept.stops_at + LATE, UTC)
    signed &= Session.revoked_at.is_(None) & (Session.expires_at > now())
    end, total = update(Session).where(signed).values(revoked_at=now()), 0
    some = end.where(Session.id.in_(batch_of(Session.id, signed)))
    while ended := changed(some, {"batch": BATCH}):
        total += ended
        db.session.commit()
    return total + changed(end)


def listed() -> list[Listed]:
    """Return all keys that are kept, the newest first, whether or not they can be opened."""
    found = keystore.everything()
    return [
        Listed(
            kept.kid,
            kept.algorithm,
            _state(kept, found),
            datetime.fromtimestamp(kept.signs_from, UTC),
            datetime.fromtimestamp(kept.ends_at, UTC) if kept.ends_at < math.inf else None,
        )
        for kept in found
    ]


def _state(kept: Kept, found: list[Kept]) -> str:
    try:
        kept.opened()
    except KeysUnreadable:
        return "unreadable"
    if kept is keys.signing(found):
        return "signs"
    if now().timestamp() < kept.signs_from < kept.stops_at:
        return "is published"
    return "verifies" if kept.ends_at > now().timestamp() else "is over"
