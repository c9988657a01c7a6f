"""Status lists: publish which sessions have ended (draft-ietf-oauth-status-list).

A service that verifies tokens offline needs no request for each of them. A token names a list and
an index in it. The list is a signed token itself. A bit of ``1`` means that the session has ended,
and ``0`` that it is active or has not begun.
"""

import base64
import re
import zlib
from functools import cache, lru_cache
from threading import Lock
from time import monotonic
from typing import Any

from flask import current_app
from sqlalchemy import bindparam, delete, func, select, update

from pycoder.clock import now
from pycoder.db.queries import (
    autocommit,
    execute_in_transaction,
    insert_into,
    separate_transaction,
)
from pycoder.errors import DatabaseUnavailable, NotFound
from pycoder.extensions import db
from pycoder.keys.key import STATUS_LIST_TYP
from pycoder.keys.ring import KeyRing, current_ring
from pycoder.models.session import PendingIndex, Session, StatusCounter
from pycoder.models.user import User

LIST_SIZE = 1 << 16  # sessions in a list
REBUILD_INTERVAL = 15  # seconds for which a worker serves a list before it builds it again
MAX_AGE = 10  # seconds for which HTTP caches may store a list
TTL = 30  # seconds for which a verifier may use a list; the sum of the three is below LIFETIME
LIFETIME = 60  # seconds until a list expires, wherever it was cached
PATH = "/.well-known/status/{}.jwt"
URI = re.compile(r"https?://\S+/\.well-known/status/[0-9]{1,14}\.jwt")

_building = Lock()


def allocate_index() -> int:
    """Return an index that no session has had, in a transaction of its own.

    Simultaneous logins therefore do not wait for each other. The index is pending until the session
    confirms it. If the login fails, its index stays unused. Call it before the caller's transaction
    writes, because SQLite has one writer.
    """
    with separate_transaction() as connection:
        idx: int = connection.execute(_upsert(db.engine.name)).scalar_one()
        connection.execute(insert_into(PendingIndex).values(idx=idx, allocated_at=now()))
    return idx


def replace_indexes(user_id: int) -> None:
    """Give each active session of a user a new index, in the caller's transaction.

    Services refuse the access tokens of before within ``LIFETIME``, and clients refresh them. The
    caller holds the lock of the user, so that no login comes between.
    """
    active = (Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
    ids = db.session.scalars(select(Session.id).where(*active)).all()
    if not ids:
        return
    last: int = db.session.execute(_upsert(db.engine.name, len(ids))).scalar_one()
    for idx, session_id in enumerate(ids, last - len(ids) + 1):
        change = update(Session).where(Session.id == session_id).values(status_idx=idx)
        execute_in_transaction(change)


def confirm_index(idx: int) -> None:
    """End the pending state of an index, in the transaction that adds its session."""
    execute_in_transaction(_CONFIRM, {"confirmed": idx})


_CONFIRM = delete(PendingIndex).where(PendingIndex.idx == bindparam("confirmed"))


_LAST_OF_SESSIONS = select(func.coalesce(func.max(Session.status_idx), 0)).scalar_subquery()


@cache
def _upsert(dialect: str, count: int = 1) -> Any:
    """Return the upsert that counts. Without a row, it starts after the last session."""
    insert = insert_into(StatusCounter).values(id=1, last=_LAST_OF_SESSIONS + count)
    return insert.on_conflict_do_update(
        index_elements=[StatusCounter.id], set_={"last": StatusCounter.last + count}
    ).returning(StatusCounter.last)


def skip_indexes(gap: int) -> None:
    """Leave out ``gap`` indexes or more, up to a new list.

    It is part of the caller's transaction.
    """
    counted = select(StatusCounter.last).scalar_subquery()
    latest = select(func.max(Session.status_idx)).scalar_subquery()
    last = db.session.scalar(select(func.coalesce(counted, latest, 0))) or 0
    last = ((last + gap) // LIST_SIZE + 1) * LIST_SIZE - 1
    skip = insert_into(StatusCounter).values(id=1, last=last)
    db.session.execute(
        skip.on_conflict_do_update(index_elements=[StatusCounter.id], set_={"last": last})
    )


def status_claim(idx: int) -> dict[str, Any]:
    """Return the ``status`` claim of the access tokens of a session."""
    return {"status_list": {"idx": idx % LIST_SIZE, "uri": _list_uri(idx // LIST_SIZE)}}


def _list_uri(number: int) -> str:
    return f"{current_app.config['PUBLIC_URL']}{PATH.format(number)}"


def is_status_claim(status: Any) -> bool:
    """Return whether a value is a well-formed ``status`` claim."""
    entry = status.get("status_list") if type(status) is dict and len(status) == 1 else None
    return (
        type(entry) is dict
        and entry.keys() == {"idx", "uri"}
        and type(entry["idx"]) is int
        and 0 <= entry["idx"] < LIST_SIZE
        and type(entry["uri"]) is str
        and URI.fullmatch(entry["uri"]) is not None
    )


def status_list_token(number: int) -> str:
    """Return a signed list that is at most ``REBUILD_INTERVAL`` seconds old.

    Of simultaneous requests, one builds it. Raises ``NotFound`` for a list beyond the one that
    follows that of the last session, and while tokens are signed with HS256, which services cannot
    verify. Raises ``DatabaseUnavailable`` if building another list takes longer than a second.
    """
    if not current_ring().is_public:
        raise NotFound
    if not _building.acquire(timeout=1):
        raise DatabaseUnavailable
    try:
        interval = int(now().timestamp()) // REBUILD_INTERVAL
        token, built_at = _build_token(current_ring(), number, interval)
        if monotonic() - built_at > REBUILD_INTERVAL:  # the clock was set back
            _build_token.cache_clear()
            token, _ = _build_token(current_ring(), number, interval)
        return token
    finally:
        _building.release()


@lru_cache(maxsize=1024)  # lists, 11 KB each at most
def _build_token(ring: KeyRing, number: int, interval: int) -> tuple[str, float]:
    """Build and sign a list, once in each interval.

    Return it with the time of the monotonic clock at which it was built. ``iat`` is the time before
    the sessions are read, so that the list is never older than that.
    """
    built_at, issued_at = monotonic(), int(now().timestamp())
    with autocommit() as connection:
        last: int = connection.execute(_LAST).scalar_one()
    if number > last // LIST_SIZE + 1:
        raise NotFound
    lst = base64.urlsafe_b64encode(zlib.compress(_status_bits(number, last), 9)).rstrip(b"=")
    claims = {
        "sub": _list_uri(number),
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "ttl": TTL,
        "status_list": {"bits": 1, "lst": lst.decode()},
    }
    return ring.sign(claims, typ=STATUS_LIST_TYP), built_at


_LAST = select(func.coalesce(select(StatusCounter.last).scalar_subquery(), _LAST_OF_SESSIONS))
_PENDING_INDEXES = select(PendingIndex.idx).where(
    PendingIndex.idx >= bindparam("start"), PendingIndex.idx < bindparam("stop")
)
_ACTIVE_INDEXES = (
    select(Session.status_idx)
    .join(User, User.id == Session.user_id)
    .where(
        Session.status_idx >= bindparam("start"),
        Session.status_idx < bindparam("stop"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("at"),
        User.is_active,
    )
)


def _status_bits(number: int, last: int) -> bytes:
    """Return the bits of a list: 1 (invalid) for ended sessions, otherwise 0.

    An index up to ``last`` that neither a session nor a sign-in has is over: its row was deleted.
    Pending indexes are read before the sessions, so that a session that is committed meanwhile is
    found in one of the two.
    """
    start = number * LIST_SIZE
    values = {"start": start, "stop": start + LIST_SIZE}
    with autocommit() as connection:
        valid = [*connection.execute(_PENDING_INDEXES, values).scalars()]
        valid += connection.execute(_ACTIVE_INDEXES, {**values, "at": now()}).scalars()
    allocated = max(0, min(last + 1 - start, LIST_SIZE))
    bits = bytearray(((1 << allocated) - 1).to_bytes(LIST_SIZE // 8, "little"))
    for idx in valid:
        bits[(idx - start) >> 3] &= ~(1 << (idx & 7))
    return bytes(bits)
