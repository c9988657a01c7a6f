"""The status lists: which sessions live, for those who verify tokens without asking us.

IETF Token Status List (draft-ietf-oauth-status-list): a token names a place in a list, the list
is a signed token itself, and whoever reads ``1`` there refuses.
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

LIST_SIZE = 1 << 16  # places in a list
REBUILD_INTERVAL = 15  # seconds for which a worker serves a list before it looks again
MAX_AGE = 10  # seconds for which caches on the way may keep it
TTL = 30  # seconds for which a verifier may use it; with the two above less than LIFETIME
LIFETIME = 60  # seconds after which nobody believes it, whoever kept it for how long
PATH = "/.well-known/status/{}.jwt"
URI = re.compile(r"https?://\S+/\.well-known/status/[0-9]{1,14}\.jwt")

_building = Lock()


def allocate_index() -> int:
    """Return a place that no session has had, in a transaction of its own.

    So nobody who signs in waits until another has done so, and a place that is not used after all
    stays empty. To be asked before the caller's transaction writes: SQLite has one writer.
    """
    with autocommit() as connection:
        place: int = connection.execute(_upsert(db.engine.name)).scalar_one()
        return place


@cache
def _upsert(dialect: str) -> Any:
    """Return the upsert that counts, from 1 or, should its row be lost, from the sessions on."""
    behind = select(func.coalesce(func.max(Session.status_idx), 0) + 1).scalar_subquery()
    started = insert_into(StatusCounter).values(id=1, last=behind)
    return started.on_conflict_do_update(
        index_elements=[StatusCounter.id], set_={"last": StatusCounter.last + 1}
    ).returning(StatusCounter.last)


def status_claim(place: int) -> dict[str, Any]:
    """Return the claim ``status`` of a session's tokens."""
    return {"status_list": {"idx": place % LIST_SIZE, "uri": _list_uri(place // LIST_SIZE)}}


def _list_uri(number: int) -> str:
    return f"{current_app.config['PUBLIC_URL']}{PATH.format(number)}"


def is_status_claim(status: Any) -> bool:
    """Tell whether this could be a claim ``status`` of ours."""
    listed = status.get("status_list") if type(status) is dict and len(status) == 1 else None
    return (
        type(listed) is dict
        and listed.keys() == {"idx", "uri"}
        and type(listed["idx"]) is int
        and 0 <= listed["idx"] < LIST_SIZE
        and type(listed["uri"]) is str
        and URI.fullmatch(listed["uri"]) is not None
    )


def status_list_token(number: int) -> str:
    """Return a list as it was at most ``KEPT`` seconds ago, signed.

    Of many who ask at once, one builds it. Raises ``NotFound`` for a list without a place that was
    given away, and while tokens are signed with a secret, which nobody else can verify.
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
def _build_token(ring: KeyRing, number: int, when: int) -> str:
    """Build and sign a list, once for each ``when``; it dates from before it was read."""
    counter = fetch_one(select(StatusCounter.last), {})
    if counter is None or number > counter.last // LIST_SIZE:
        raise NotFound
    at = int(now().timestamp())
    packed = base64.urlsafe_b64encode(zlib.compress(_status_bits(number), 9)).rstrip(b"=")
    said = {
        "sub": _list_uri(number),
        "iat": at,
        "exp": at + LIFETIME,
        "ttl": TTL,
        "status_list": {"bits": 1, "lst": packed.decode()},
    }
    return ring.sign(said, typ="statuslist+jwt")


_LIVE_INDEXES = (
    select(Session.status_idx)
    .join(User, User.id == Session.user_id)
    .where(
        Session.status_idx >= bindparam("first"),
        Session.status_idx < bindparam("behind"),
        Session.revoked_at.is_(None),
        Session.expires_at > bindparam("at"),
        User.is_active,
    )
)


def _status_bits(number: int) -> bytes:
    """Return a list's bits: 0, valid, for a session that lives, and 1 for every other place."""
    first = number * LIST_SIZE
    bits = bytearray(b"\xff" * (LIST_SIZE // 8))
    with autocommit() as connection:
        values = {"first": first, "behind": first + LIST_SIZE, "at": now()}
        places: ScalarResult[Any] = connection.execute(_LIVE_INDEXES, values).scalars()
        for place in places:
            bits[(place - first) >> 3] ^= 1 << (place & 7)
    return bytes(bits)
