"""Trade a live refresh token of the platform for a session, once.

There are two kinds of clients. One stores the new refresh token, and does not show the old one
again. The other keeps the old one, and shows it whenever its access token has expired: it gets a
new access token and the same refresh token, until that refresh token is used. From then on the old
token is a reused one, and ends the session (RFC 9700 §4.14).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, exists, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute, execute_in_transaction, fetch_one, insert_into
from pycoder.errors import TokenRevoked
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.mfa import factors
from pycoder.models.takeover import AdoptedToken, Takeover, TakeoverClosed, TakeoverToken
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter
from pycoder.sessions.lifecycle import create_session
from pycoder.sessions.refresh import rotate_refresh_token
from pycoder.takeover.configuration import RunningTakeover, running_takeover
from pycoder.takeover.tokens import EXPIRED, SIGNATURE, AdoptionRefused, EarlierToken, verify
from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import load_token_state

NO_SESSION = UUID(int=0)  # of a token that was used up by a logout
AMR = "takeover"  # the platform does not say how the user authenticated
EPOCH = datetime.fromtimestamp(0, UTC)
HOUR = timedelta(hours=1)


def trade(token: str) -> TokenPair | None:
    """Return a token pair for a refresh token of the platform.

    Without a takeover, return ``None``. Of simultaneous trades of one token, one creates the
    session, and the others repeat it. Raises ``TokenInvalid``, ``TokenExpired``, ``TokenRevoked``,
    ``TokenReused`` and ``TooManyRequests``.
    """
    takeover = running_takeover()
    if takeover is None:
        return None
    with _refusals_recorded(takeover):
        earlier = verify(takeover, token)
        session_id = _traded_session(takeover, earlier, fetch_one)
        if session_id is None and (pair := _adopt(takeover, earlier)):
            return pair
        return _repeat(earlier, session_id or _traded_session(takeover, earlier, fetch_one))


def claims_to_log_out(token: str) -> dict[str, Any] | None:
    """Return the claims that name the session of a token of the platform.

    A token that was not traded is used up, and names a session that does not exist. Without a
    takeover, return ``None``. Raises ``TokenInvalid``, ``TokenExpired`` and ``TooManyRequests``.
    """
    takeover = running_takeover()
    if takeover is None:
        return None
    with _refusals_recorded(takeover):
        earlier = verify(takeover, token)
    session_id = _session_of(earlier) or _use_up(earlier)
    return {"sid": str(session_id), "user_id": earlier.user_id}


_ADOPTED = select(AdoptedToken.session_id).where(AdoptedToken.jti == bindparam("jti"))


def _session_of(earlier: EarlierToken) -> UUID | None:
    """Return the session that a token was traded for, or ``None``."""
    row = fetch_one(_ADOPTED, {"jti": earlier.jti})
    return row.session_id if row else None


def _use_up(earlier: EarlierToken) -> UUID:
    """Use up a token that was not traded.

    Return the session that it was traded for meanwhile, or ``NO_SESSION``.
    """
    limiter.hit("account.writes", f"takeover/{earlier.user_id}", earlier.user_id)
    if _store(earlier, NO_SESSION):
        audit.record(Event.SESSION_ENDED, user_id=earlier.user_id, reason="before its trade")
    db.session.commit()
    return _session_of(earlier) or NO_SESSION


_STANDING = select(
    User.id,
    User.is_active,
    factors.has_factor().label("has_factor"),
    exists().where(TakeoverClosed.user_id == User.id).label("is_closed"),
    exists()
    .where(TakeoverToken.jti == bindparam("jti"), TakeoverToken.user_id == User.id)
    .label("is_listed"),
    _ADOPTED.scalar_subquery().label("session_id"),
).where(User.id == bindparam("user_id"))


def _traded_session(
    takeover: RunningTakeover, earlier: EarlierToken, fetch: Callable[[Any, Any], Any]
) -> UUID | None:
    """Return the session that a token was traded for before.

    Return ``None`` if it may be traded now. An account with a second factor is never signed in by
    such a token. A user that was closed keeps a session that is still active, and gets no new one.
    Raises ``AdoptionRefused``.
    """
    row = fetch(_STANDING, {"jti": earlier.jti, "user_id": earlier.user_id})
    if reason := _rejection_reason(takeover, row):
        raise AdoptionRefused(reason, TokenRevoked, earlier.user_id if row else None)
    session_id: UUID | None = row.session_id
    return session_id


def _fetch_under_lock(statement: Any, values: Any) -> Any:
    """Return the first row, in the transaction that has the lock.

    It needs no second connection, for which it could wait in vain: those that the pool has given
    out may all wait for the lock.
    """
    return db.session.execute(statement, values).first()


def _rejection_reason(takeover: RunningTakeover, row: Any) -> str | None:
    """Return why a token is not traded, as the audit trail names it, or ``None``."""
    if row is None:
        return "unknown account"
    if not row.is_active:
        return "deactivated account"
    if row.has_factor:
        return "second factor"
    if row.session_id:
        return None
    if takeover.listed and not row.is_listed:
        return "not in the list"
    return "closed" if row.is_closed else None


def _adopt(takeover: RunningTakeover, earlier: EarlierToken) -> TokenPair | None:
    """Create the session of a token, and return its pair.

    Returns ``None`` if another request has traded the token meanwhile. What was checked before is
    checked again under the lock. Raises ``AdoptionRefused`` and ``TooManyRequests``.
    """
    user_id = earlier.user_id
    limiter.hit("account.writes", f"takeover/{user_id}", user_id)
    current_ring()  # fails before there is a session for which no token can be signed
    status_idx = status_list.allocate_index()  # in a transaction of its own, before this one writes
    user = lock_user(User.id == user_id)
    if user is None or _traded_session(takeover, earlier, _fetch_under_lock):
        db.session.rollback()
        return None
    session = create_session(user_id, status_idx, "body", AMR)
    session.authenticated_at = max(user.date_joined, EPOCH)  # some time after
    if not _store(earlier, session.id):
        db.session.rollback()
        return None
    audit.record(Event.TOKEN_ADOPTED, user_id=user_id, session_id=session.id)
    if not takeover.listed:
        queue.enqueue(Template.NEW_DEVICE, user.email, user_id=user_id)
    db.session.commit()
    return issue_tokens(session)


def _store(earlier: EarlierToken, session_id: UUID) -> bool:
    """Store that a token was traded, and return whether it was not before.

    Of simultaneous trades, one succeeds.
    """
    row = {"jti": earlier.jti, "session_id": session_id, "expires_at": earlier.expires_at}
    insert = insert_into(AdoptedToken).values(row).on_conflict_do_nothing()
    return bool(execute_in_transaction(insert))


def _repeat(earlier: EarlierToken, session_id: UUID | None) -> TokenPair:
    """Return a new access token and the same refresh token, or end the session.

    To rotation, a token of the platform is the one before the first refresh token of its session.
    """
    state = None
    if session_id:
        claims = {"jti": "", "sid": str(session_id), "user_id": earlier.user_id}
        state = load_token_state(claims)
    return rotate_refresh_token(state, earlier.jti, adopted=True)


@contextmanager
def _refusals_recorded(takeover: RunningTakeover) -> Iterator[None]:
    """Record a token that is refused, and raise its problem."""
    try:
        yield
    except AdoptionRefused as refused:
        db.session.rollback()
        _record_refusal(takeover, refused)
        raise refused.problem from None


def _record_refusal(takeover: RunningTakeover, refused: AdoptionRefused) -> None:
    """Record a refused token.

    Those of a user are recorded once an hour, and so are all wrong signatures together.
    """
    is_due = _is_forgery_due if refused.reason == SIGNATURE else _is_refusal_due
    if refused.reason != EXPIRED and is_due(takeover, refused):
        event = Event.TOKEN_ADOPTION_REFUSED
        audit.record_separately(event, user_id=refused.user_id, reason=refused.reason)


def _is_forgery_due(takeover: RunningTakeover, refused: AdoptionRefused) -> bool:
    """Return whether no wrong signature was recorded in the last hour.

    Anybody can send one, so that it must not cost a write each time.
    """
    if takeover.forged_at and takeover.forged_at > now() - HOUR:
        return False
    due = Takeover.forged_at.is_(None) | (Takeover.forged_at <= now() - HOUR)
    return bool(execute(update(Takeover).where(due).values(forged_at=now()), {}))


def _is_refusal_due(takeover: RunningTakeover, refused: AdoptionRefused) -> bool:
    """Return whether no refused token of a user was recorded in the last hour."""
    key = f"{Event.TOKEN_ADOPTION_REFUSED}/{refused.user_id or 'unknown'}"
    return limiter.is_first_in_period(key, int(HOUR.total_seconds()))
