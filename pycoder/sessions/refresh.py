"""Refresh token rotation, retries, and reuse detection (RFC 9700 §4.14)."""

import hashlib
import math
from datetime import datetime, timedelta

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
from pycoder.models.session import Session
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter
from pycoder.sessions import lifecycle
from pycoder.tokens.claims import new_jti
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import TokenState, reload_token_state


def rotate_refresh_token(state: TokenState, jti: str, *, idempotency_key: str | None) -> TokenPair:
    """Rotate a refresh token, and return the new pair. Reuse revokes the session.

    A client that repeats the request with the same ``idempotency_key`` within
    ``REFRESH_RETRY_WINDOW``, while the successor is unused, gets that successor again: a lost
    response signs no user out (RFC 9700 §4.14.2). If the roles of the user change meanwhile, the
    rotation starts again, so that the new pair has them. Raises ``TokenReused``, ``TokenRevoked``
    and ``TooManyRequests``.
    """
    key_hash = idempotency_key and hashlib.sha256(idempotency_key.encode()).hexdigest()
    if jti == state.refresh_jti and not state.is_over():
        rotated = _rotate(state, key_hash)
        if rotated:
            return issue_tokens(rotated)
    current = reload_token_state(state)
    if current and jti == current.refresh_jti and current.status_idx != state.status_idx:
        return rotate_refresh_token(current, jti, idempotency_key=idempotency_key)
    is_retry = current and _is_retry(current, jti, key_hash)
    if current is None or jti == current.refresh_jti or (is_retry and current.is_over()):
        raise TokenRevoked
    if is_retry:
        limiter.hit("account.writes", f"retry/{state.user_id}", state.user_id)
        return issue_tokens(current)
    _revoke_reused(current)
    raise TokenReused


def _revoke_reused(state: TokenState) -> None:
    """Revoke the session of a reused refresh token, and notify its user, once."""
    user_id, session_id = state.user_id, state.session_id
    if lock_user(User.id == user_id) and lifecycle.end_sessions(Session.id == session_id):
        audit.record(Event.SESSION_REUSED, user_id=user_id, session_id=session_id)
        queue.enqueue(Template.SESSION_REUSED, state.user.email, user_id=user_id)
    db.session.commit()


def _successor(state: TokenState) -> TokenState:
    """Return the state with a new refresh token, rotated now."""
    at = now()
    expires_at = lifecycle.session_expiry(at, created_at=state.created_at)
    return state._replace(refresh_jti=new_jti(), rotated_at=at, expires_at=expires_at)


_ROTATE = PreparedStatement(
    update(Session).where(
        Session.id == bindparam("session_id"),
        Session.refresh_jti == bindparam("used_jti"),
        Session.status_idx == bindparam("idx"),
        Session.revoked_at.is_(None),
    )
)


def _rotate(state: TokenState, key_hash: str | None) -> TokenState | None:
    """Replace the refresh token. Of simultaneous uses of one token, one succeeds."""
    window_at, window_count = _count_refresh(state)
    rotated = _successor(state)
    values = {
        "session_id": state.session_id,
        "used_jti": state.refresh_jti,
        "idx": state.status_idx,
        "refresh_jti": rotated.refresh_jti,
        "previous_jti": state.refresh_jti,
        "idempotency_key": key_hash,
        "rotated_at": rotated.rotated_at,
        "last_used_at": rotated.rotated_at,
        "expires_at": rotated.expires_at,
        "window_at": window_at,
        "window_count": window_count,
    }
    return rotated if _ROTATE.execute(values) else None


def _count_refresh(state: TokenState) -> tuple[datetime, int]:
    """Count this refresh, and return the start and the count of the current period.

    The limit is ``refresh.session``. The count is stored by the UPDATE that rotates, and is exact:
    a request that rotates has read the row as it was before. Raises ``TooManyRequests``.
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


def _is_retry(state: TokenState, jti: str, key_hash: str | None) -> bool:
    """Return whether a client retries the last rotation, rather than reuses a token.

    The client proves it with the key of its first request. A client that sends no key is believed
    for ``REFRESH_REUSE_LEEWAY`` seconds.
    """
    if jti != state.previous_jti or state.rotated_at is None:
        return False
    setting = "REFRESH_RETRY_WINDOW" if key_hash else "REFRESH_REUSE_LEEWAY"
    window = timedelta(seconds=current_app.config[setting])
    in_time = now() - state.rotated_at < window  # negative if the clock of this node is behind
    return bool(window) and state.idempotency_key == key_hash and in_time
