"""Refresh token rotation, retries, and reuse detection (RFC 9700 §4.14)."""

import hashlib
import math
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import bindparam, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.prepared import PreparedStatement
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import TokenReused, TokenRevoked, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.metrics import SESSIONS_REUSED
from pycoder.models.session import Session
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter
from pycoder.sessions import lifecycle
from pycoder.tokens.claims import new_jti
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import TokenState, reload_token_state

UNUSED = "successor unused, see REFRESH_ROTATION"  # the reason in the audit trail
HINT = (
    "session %s ended: its refresh token was used again, and the successor never; clients that do"
    " not store the new refresh token need REFRESH_ROTATION=until_used"
)


def rotate_refresh_token(
    state: TokenState | None,
    jti: str,
    *,
    idempotency_key: str | None = None,
    adopted: bool = False,
) -> TokenPair:
    """Rotate a refresh token, and return the new pair. Reuse revokes the session.

    A client may repeat the request while the successor is unused, and gets that successor again: a
    lost response signs no user out (RFC 9700 §4.14.2). ``_may_repeat`` names the conditions. If
    another request changes the session meanwhile, its new state decides. ``adopted`` is for the
    token of another platform that the session was traded for. Raises ``TokenReused``,
    ``TokenRevoked`` and ``TooManyRequests``.
    """
    key_hash = idempotency_key and hashlib.sha256(idempotency_key.encode()).hexdigest()
    while state:
        if used := _use(state, jti, key_hash, adopted):
            return issue_tokens(used)
        state = reload_token_state(state)
    raise TokenRevoked


def _use(state: TokenState, jti: str, key_hash: str | None, adopted: bool) -> TokenState | None:
    """Use a refresh token, and return the state to issue tokens for.

    Returns ``None`` if another request has changed the session.
    """
    is_newest = jti == state.refresh_jti
    is_first = adopted and state.previous_jti is None  # the session's own token is unused
    if not (is_newest or is_first or _may_repeat(state, jti, key_hash)):
        _revoke_reused(state, jti)
        raise TokenReused
    if state.is_over():
        raise TokenRevoked
    return _rotate(state, key_hash) if is_newest else _repeat(state)


def _may_repeat(state: TokenState, jti: str, key_hash: str | None) -> bool:
    """Return whether the token before the newest may be used again.

    With ``REFRESH_ROTATION=until_used`` it may. With ``strict``, a client proves by the key of its
    first request that it repeats it, within ``REFRESH_RETRY_WINDOW``. A client that sends no key is
    believed for ``REFRESH_REUSE_LEEWAY`` seconds.
    """
    if jti in state.refresh_jtis():
        return True
    if jti != state.previous_jti or state.rotated_at is None:
        return False
    setting = "REFRESH_RETRY_WINDOW" if key_hash else "REFRESH_REUSE_LEEWAY"
    window = timedelta(seconds=current_app.config[setting])
    in_time = now() - state.rotated_at < window  # negative if the clock of this node is behind
    return bool(window) and state.idempotency_key == key_hash and in_time


def _revoke_reused(state: TokenState, jti: str) -> None:
    """Revoke the session of a reused refresh token, and notify its user, once.

    If the successor of the token was never used, the client may be one that does not store it.
    """
    user_id, session_id = state.user_id, state.session_id
    successor, reason = ("unused", UNUSED) if jti == state.previous_jti else ("used", None)
    if lock_user(User.id == user_id) and lifecycle.end_sessions(Session.id == session_id):
        audit.record(Event.SESSION_REUSED, user_id=user_id, session_id=session_id, reason=reason)
        queue.enqueue(Template.SESSION_REUSED, state.user.email, user_id=user_id)
        SESSIONS_REUSED.labels(successor).inc()
        if reason:
            current_app.logger.warning(HINT, session_id)
    db.session.commit()


def _successor(state: TokenState) -> TokenState:
    """Return the state with a new refresh token, rotated now."""
    at = now()
    expires_at = lifecycle.session_expiry(at, created_at=state.created_at)
    return state._replace(refresh_jti=new_jti(), rotated_at=at, expires_at=expires_at)


_COUNTED_UPDATE = PreparedStatement(
    update(Session).where(
        Session.id == bindparam("session_id"),
        Session.refresh_jti == bindparam("newest_jti"),
        Session.status_idx == bindparam("idx"),
        Session.window_count == bindparam("count"),
        Session.revoked_at.is_(None),
    )
)


def _rotate(state: TokenState, key_hash: str | None) -> TokenState | None:
    """Replace the refresh token. Of simultaneous uses of one token, one succeeds."""
    rotated = _successor(state)
    values = {
        "refresh_jti": rotated.refresh_jti,
        "previous_jti": state.refresh_jti,
        "idempotency_key": key_hash,
        "rotated_at": rotated.rotated_at,
        "last_used_at": rotated.rotated_at,
        "expires_at": rotated.expires_at,
    }
    return rotated if _update(state, values) else None


def _repeat(state: TokenState) -> TokenState | None:
    """Count a repeated refresh, if the successor is still unused.

    If it is the first token of its session, the session goes on from now: a token of another
    platform may be valid for longer than ours.
    """
    at = now()
    if state.previous_jti is None:
        expires_at = lifecycle.session_expiry(at, created_at=state.created_at)
        state = state._replace(rotated_at=at, expires_at=expires_at)
    values = {"rotated_at": state.rotated_at, "expires_at": state.expires_at}
    return state if _update(state, {"last_used_at": at, **values}) else None


def _update(state: TokenState, values: dict[str, Any]) -> bool:
    """Count a refresh and store values, unless the session has changed meanwhile."""
    window_at, window_count = _count_refresh(state)
    former = {
        "session_id": state.session_id,
        "newest_jti": state.refresh_jti,
        "idx": state.status_idx,
        "count": state.window_count,
    }
    counted = {"window_at": window_at, "window_count": window_count}
    return bool(_COUNTED_UPDATE.execute(former | counted | values))


def _count_refresh(state: TokenState) -> tuple[datetime, int]:
    """Count this refresh, and return the start and the count of the current period.

    The limit is ``refresh.session``. The count is exact: the UPDATE stores it if the row is as it
    was read. Raises ``TooManyRequests``.
    """
    limit = limiter.get_limit("refresh.session")
    began = state.window_at
    ends = began and limit and began + timedelta(seconds=limit.get_expiry())
    if not limit or not began or not ends or ends <= now():
        return now(), 1
    if state.window_count >= limit.amount:
        _record_limit(state, limit.amount)
        raise TooManyRequests(math.ceil((ends - now()).total_seconds()))
    return began, state.window_count + 1


def _record_limit(state: TokenState, amount: int) -> None:
    """Record the first rejection of a period."""
    is_first = execute_in_transaction(
        update(Session)
        .where(Session.id == state.session_id, Session.window_count == amount)
        .values(window_count=amount + 1)
    )
    if is_first:
        audit.record(
            Event.LIMIT_REACHED,
            user_id=state.user_id,
            session_id=state.session_id,
            reason="refresh.session",
        )
    db.session.commit()
