"""Refresh token rotation, retries, and reuse detection (RFC 9700 §4.14)."""

import hashlib
import math
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import bindparam, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
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


def rotate_refresh_token(
    session: TokenState, jti: str, *, retry_key: str | None, client: ClientInfo
) -> TokenPair:
    """Rotate the refresh token; a second use of a rotated one ends the session.

    Repeating a call with the same ``retry_key`` within five minutes, while its successor is
    unused, yields that successor again, so that a lost answer logs nobody out (RFC 9700
    §4.14.2; docs/design.md). Raises ``TokenReused`` and ``TokenRevoked``.
    """
    retry_key = retry_key and hashlib.sha256(retry_key.encode()).hexdigest()
    if jti == session.refresh_jti and not session.is_over():
        rotated = _rotate(session, retry_key, client)
        if rotated:
            return issue_tokens(rotated)
    kept = reload_token_state(session)
    retried = kept and _is_retry(kept, jti, retry_key)
    if kept is None or jti == kept.refresh_jti or (retried and kept.is_over()):
        raise TokenRevoked
    if retried:
        return issue_tokens(kept)
    if lock_user(User.id == kept.user_id) and lifecycle.end_sessions(Session.id == kept.sid):
        audit.record(Event.SESSION_REUSED, client, user_id=kept.user_id, session_id=kept.sid)
        queue.enqueue(Template.SESSION_REUSED, kept.email, client, user_id=kept.user_id)
    db.session.commit()
    raise TokenReused


def _next_token_state(session: TokenState) -> TokenState:
    """Return a session as its next refresh token makes it."""
    at = now()
    expires_at = lifecycle.session_expiry(at, created_at=session.created_at)
    return session._replace(refresh_jti=new_jti(), rotated_at=at, expires_at=expires_at)


_ROTATE = PreparedStatement(
    update(Session).where(
        Session.id == bindparam("sid"),
        Session.refresh_jti == bindparam("live_jti"),
        Session.revoked_at.is_(None),
    )
)


def _rotate(session: TokenState, retry_key: str | None, client: ClientInfo) -> TokenState | None:
    """Replace the live refresh token; of many that try with the same one, one succeeds."""
    window_at, window_count = _count_refresh(session, client)
    rotated = _next_token_state(session)
    values = {
        "sid": session.sid,
        "live_jti": session.refresh_jti,
        "refresh_jti": rotated.refresh_jti,
        "previous_jti": session.refresh_jti,
        "retry_key": retry_key,
        "rotated_at": rotated.rotated_at,
        "last_used_at": rotated.rotated_at,
        "expires_at": rotated.expires_at,
        "window_at": window_at,
        "window_count": window_count,
    }
    return rotated if _ROTATE.write(values) else None


def _count_refresh(session: TokenState, client: ClientInfo) -> tuple[datetime, int]:
    """Count a refresh in the row that it changes anyway; raises ``TooManyRequests``.

    Whoever rotates has read the row as it was before, so the count is exact without a counter of
    its own.
    """
    limit = limiter.get_limit("refresh.session")
    began = session.window_at
    ends = began and limit and began + timedelta(seconds=limit.get_expiry())
    if not limit or not began or not ends or ends <= now():
        return now(), 1
    if session.window_count >= limit.amount:
        first = execute_in_transaction(
            update(Session)
            .where(Session.id == session.sid, Session.window_count == limit.amount)
            .values(window_count=limit.amount + 1)
        )
        if first:
            audit.record(
                Event.LIMIT_REACHED,
                client,
                user_id=session.user_id,
                session_id=session.sid,
                reason="refresh.session",
            )
        db.session.commit()
        raise TooManyRequests(math.ceil((ends - now()).total_seconds()))
    return began, session.window_count + 1


def _is_retry(session: TokenState, jti: str, retry_key: str | None) -> bool:
    """Tell a caller who lost the answer to this very rotation from a second user of the token.

    The caller proves it with the key of the first call. Callers that send none are believed for
    ``REFRESH_REUSE_LEEWAY`` seconds, which is 0 unless an operator knows such clients.
    """
    if jti != session.previous_jti or session.rotated_at is None:
        return False
    setting = "REFRESH_RETRY_WINDOW" if retry_key else "REFRESH_REUSE_LEEWAY"
    window = timedelta(seconds=current_app.config[setting])
    in_time = now() - session.rotated_at < window  # or before, where a node's clock is behind
    return bool(window) and session.retry_key == retry_key and in_time


def replace_refresh_token(session: TokenState) -> TokenState:
    """Replace the live refresh token, whichever it is by now, in the caller's transaction.

    Nothing is a retry of that: the one before counts as used, also for ``REFRESH_REUSE_LEEWAY``.
    """
    renewed = _next_token_state(session)
    values = {
        "refresh_jti": renewed.refresh_jti,
        "previous_jti": None,
        "retry_key": None,
        "rotated_at": renewed.rotated_at,
        "last_used_at": renewed.rotated_at,
        "expires_at": renewed.expires_at,
    }
    execute_in_transaction(update(Session).where(Session.id == session.sid).values(values))
    return renewed
