"""The life of a session: create, list, revoke, log out."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import current_app
from sqlalchemy import ColumnElement, Integer, bindparam, delete, exists, literal, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import current_client
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.errors import NotFound, TokenRevoked
from pycoder.extensions import db
from pycoder.models.session import Session, TokenBlocklist, is_active_session
from pycoder.models.takeover import Takeover, TakeoverClosed
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter
from pycoder.sessions import pruning
from pycoder.tokens import status_list
from pycoder.tokens.claims import new_jti
from pycoder.tokens.state import TokenState, load_token_state


def create_session(user_id: int, status_idx: int, transport: str, amr: str = "pwd") -> Session:
    """Add a session to the caller's transaction, and prune surplus and expired rows.

    ``amr`` are the methods by which the user authenticated (RFC 8176). The caller holds
    ``lock_user``, or has added the user in the same transaction.
    """
    at, client = now(), current_client()
    session = Session(
        id=uuid4(),
        user_id=user_id,
        refresh_jti=new_jti(),
        created_at=at,
        last_used_at=at,
        expires_at=session_expiry(at, created_at=at),
        ip=client.ip,
        user_agent=client.user_agent,
        transport=transport,
        status_idx=status_idx,
        authenticated_at=at,
        amr=amr,
    )
    db.session.add(session)
    db.session.flush()
    named_in_tokens = select(User.roles, User.external_id).where(User.id == user_id)
    session.roles, session.external_id = db.session.execute(named_in_tokens).one()
    status_list.confirm_index(status_idx)
    _delete_surplus(session)
    pruning.prune_some()
    return session


_SURPLUS = delete(Session).where(
    Session.id.in_(
        select(Session.id)
        .where(Session.user_id == bindparam("user_id"))
        .order_by(
            Session.id != bindparam("session_id"),
            Session.revoked_at.is_not(None) | (Session.expires_at <= bindparam("at")),
            Session.last_used_at.desc(),
        )
        .offset(bindparam("kept", type_=Integer))
    )
)


def _delete_surplus(new: Session) -> None:
    """Keep ``SESSIONS_PER_USER`` rows of a user: active sessions, latest use first.

    The new session is always kept, also after the clock was set back.
    """
    kept = current_app.config["SESSIONS_PER_USER"]
    values = {"user_id": new.user_id, "session_id": new.id, "at": now(), "kept": kept}
    if execute_in_transaction(_SURPLUS, values):
        audit.record(Event.SESSION_ENDED, user_id=new.user_id, reason="too many sessions")


def session_expiry(refreshed_at: datetime, *, created_at: datetime) -> datetime:
    """Return the expiry of a session that was refreshed at ``refreshed_at``.

    It is the lifetime of a refresh token later, capped by ``SESSION_LIFETIME`` after its creation.
    """
    settings = current_app.config
    idle = refreshed_at + timedelta(seconds=settings["JWT_REFRESH_TOKEN_EXPIRES"])
    return min(idle, created_at + timedelta(seconds=settings["SESSION_LIFETIME"]))


def log_out(claims: Iterable[dict[str, Any]]) -> None:
    """Revoke the sessions of these tokens. A session that is over is no error.

    They are revoked in the order of their ids, so that two simultaneous calls do not deadlock.
    """
    for token in sorted(claims, key=lambda token: str(token["sid"])):
        _revoke_session_of(token)
    db.session.commit()


def revoke_token(claims: dict[str, Any]) -> None:
    """Revoke an access token, or the session of a refresh token (RFC 7009).

    Raises ``TooManyRequests`` for an access token. Ending a session is never refused.
    """
    if claims["token_type"] == "refresh":
        _revoke_session_of(claims)
    elif load_token_state(claims):
        user_id = claims["user_id"]
        limiter.hit("account.writes", f"revoke/{user_id}", user_id)
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        row = {"jti": claims["jti"], "expires_at": expires_at}
        if execute_in_transaction(insert_into(TokenBlocklist).values(row).on_conflict_do_nothing()):
            sid = UUID(claims["sid"])
            audit.record_hourly(Event.TOKEN_REVOKED, user_id=user_id, session_id=sid)
    pruning.prune_some()
    db.session.commit()


def _revoke_session_of(claims: dict[str, Any]) -> None:
    own = (Session.user_id == claims["user_id"]) & (Session.id == UUID(claims["sid"]))
    if end_sessions(own):
        _record(Event.SESSION_ENDED, claims)


def _record(event: Event, claims: dict[str, Any]) -> None:
    audit.record(event, user_id=claims["user_id"], session_id=UUID(claims["sid"]))


def list_active(current: TokenState) -> Sequence[Session]:
    """Return the active sessions of the current user, latest use first."""
    return mark_current(active_sessions(current.user_id), current)


def active_sessions(user_id: int) -> Sequence[Session]:
    """Return the active sessions of a user, latest use first."""
    active = (Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
    newest_first = (Session.last_used_at.desc(), Session.created_at.desc())
    return db.session.scalars(select(Session).where(*active).order_by(*newest_first)).all()


def mark_current(sessions: Sequence[Session], current: TokenState) -> Sequence[Session]:
    """Set ``current`` on the session of the current request."""
    for session in sessions:
        session.current = session.id == current.session_id
    return sessions


def revoke_session(current: TokenState, session_id: UUID) -> None:
    """Revoke one session of the current user.

    Raises ``TooManyRequests``, and ``NotFound`` for another user's session.
    """
    user_id = current.user_id
    _count_revocation(current, "one")
    own = (Session.user_id == user_id) & (Session.id == session_id)
    if db.session.scalar(select(Session.id).where(own)) is None:
        raise NotFound
    if end_sessions(own):
        audit.record(Event.SESSION_ENDED, user_id=user_id, session_id=session_id)
    db.session.commit()


def revoke_other_sessions(current: TokenState) -> None:
    """Revoke every session of a user but the current one.

    Of two sessions that end each other at the same time, one survives. Raises ``TooManyRequests``
    and ``TokenRevoked``.
    """
    user_id, session_id = current.user_id, current.session_id
    _count_revocation(current, "others")
    lock_user(User.id == user_id)
    if not db.session.scalar(select(is_active_session(session_id))):
        raise TokenRevoked
    if revoke_all_sessions(user_id, but=session_id):
        audit.record(Event.SESSIONS_ENDED, user_id=user_id, session_id=session_id)
    db.session.commit()


def _count_revocation(current: TokenState, kind: str) -> None:
    """Count a revocation by the session that asks for it.

    A thief of another session cannot use up the revocations that would sign it out.
    """
    limiter.hit("account.writes", f"revoke/{kind}/{current.session_id}", current.user_id)


def revoke_all_sessions(user_id: int, *, but: UUID | None = None) -> int:
    """Revoke every session of a user, or every one but one, and return their number.

    Tokens of another platform that were not traded for a session yet end, too: during a takeover,
    the user is closed (takeover/trade.py). It is part of the caller's transaction, which holds the
    lock of the user.
    """
    execute_in_transaction(_close(user_id))
    theirs = Session.user_id == user_id
    return end_sessions(theirs if but is None else theirs & (Session.id != but))


def _close(user_id: int) -> Any:
    """Return the INSERT that closes a user, if there is a takeover."""
    closed = select(literal(user_id)).where(exists(select(Takeover.id)))
    return insert_into(TakeoverClosed).from_select(["user_id"], closed).on_conflict_do_nothing()


def end_sessions(condition: ColumnElement[bool]) -> int:
    """Revoke the sessions that are not revoked yet, and return their number."""
    return execute_in_transaction(
        update(Session).where(condition, Session.revoked_at.is_(None)).values(revoked_at=now())
    )
