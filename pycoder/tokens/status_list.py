"""Status lists: publish which sessions have ended (draft-ietf-oauth-status-list).

A service that verifies tokens offline needs no request for each of them. A token names a list and
an index in it. The list is a signed token itself. A bit of ``1`` means that the session has ended.
"""

import base64
import re
import zlib
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from flask import current_app
from sqlalchemy import ScalarResult, bindparam, func, select

from pycoder.clock import now
from pycoder.db.queries import autocommit, fetch_one, insert_into
from pycoder.errors import DatabaseUnavailable, NotFound
from pycoder.extensions import db
from pycoder.keys.ring import KeyRing, current_ring
from pycoder.models.session import Session, StatusCounter
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

    Simultaneous logins therefore do not wait for each other. If the login fails, its index stays
    unused. Call it before the caller's transaction writes, because SQLite has one writer.
    """
    with autocommit() as connection:
        idx: int = connection.execute(_upsert(db.engine.name)).scalar_one()
        return idx


@cache
def _upsert(dialect: str) -> Any:
    """Return the upsert that counts. Without a row, it starts after the last session."""
    first = select(func.coalesce(func.max(Session.status_idx), 0) + 1).scalar_subquery()
    insert = insert_into(StatusCounter).values(id=1, last=first)
    return insert.on_conflict_do_update(
        index_elements=[StatusCounter.id], set_={"last": StatusCounter.last + 1}
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
    """Return the ``status`` claim of the tokens of a session."""
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

    Of simultaneous requests, one builds it. Raises ``NotFound`` for a list of which no index was
    allocated, and while tokens are signed with HS256, which services cannot verify. Raises
    ``DatabaseUnavailable`` if building another list takes longer than a second.
    """
    if not current_ring().is_public:
        raise NotFound
    if not _building.acquire(timeout=1):
        raise DatabaseUnavailable
    try:
        return _build_token(current_ring(), number, int(now().timestamp()) // REBUILD_INTERVAL)
    finally:
        _building.release()


@lru_cache(maxsize=1024)  # lists, 11 KB each at most
def _build_token(ring: KeyRing, number: int, interval: int) -> str:
    """Build and sign a list, once in each interval.

    ``iat`` is the time before the sessions are read, so that the list is never older than that.
    """
    counter = fetch_one(select(StatusCounter.last), {})
    if counter is None or number > counter.last // LIST_SIZE:
        raise NotFound
    issued_at = int(now().timestamp())
    lst = base64.urlsafe_b64encode(zlib.compress(_status_bits(number), 9)).rstrip(b"=")
    claims = {
        "sub": _list_uri(number),
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "ttl": TTL,
        "status_list": {"bits": 1, "lst": lst.decode()},
    }
    return ring.sign(claims, typ="statuslist+jwt")


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


def _status_bits(number: int) -> bytes:
    """Return the bits of a list: 0 (valid) for active sessions, otherwise 1 (invalid)."""
    start = number * LIST_SIZE
    bits = bytearray(b"\xff" * (LIST_SIZE // 8))
    with autocommit() as connection:
        values = {"start": start, "stop": start + LIST_SIZE, "at": now()}
        indexes: ScalarResult[Any] = connection.execute(_ACTIVE_INDEXES, values).scalars()
        for idx in indexes:
            bits[(idx - start) >> 3] ^= 1 << (idx & 7)
    return bytes(bits)
