"""The life of a session: create, list, revoke, log out."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import current_app
from sqlalchemy import ColumnElement, Integer, bindparam, delete, insert, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.errors import InvalidCredentials, NotFound
from pycoder.extensions import db
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.ratelimit import limiter
from pycoder.sessions import pruning
from pycoder.tokens.claims import new_jti
from pycoder.tokens.state import TokenState, load_token_state

_NEW = [
    *("id", "user_id", "refresh_jti", "created_at", "last_used_at", "expires_at"),
    *("ip", "user_agent", "transport", "window_count", "status_idx"),
]
_INSERT = insert(Session.__table__).from_select(  # type: ignore[arg-type]
    _NEW,
    select(*(bindparam(f"new_{name}", type_=Session.__table__.c[name].type) for name in _NEW))
    .where(
        User.id == bindparam("new_user_id"),
        User.password_hash == bindparam("password_hash"),
        User.is_active,
    )
    .with_for_update(key_share=True),
)


def create_session(
    user_id: int, password_hash: str, place: int, client: ClientInfo, transport: str
) -> Session:
    """Add a session to the caller's transaction, and prune what is too many or too old.

    The statement is the verdict on whether the account is active and has this hash still, and
    its lock keeps either from changing before the session stands. Raises ``InvalidCredentials``.
    """
    at = now()
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
        window_count=0,
        status_idx=place,
    )
    values = {f"new_{name}": getattr(session, name) for name in _NEW}
    if not execute_in_transaction(_INSERT, {**values, "password_hash": password_hash}):
        raise InvalidCredentials
    _delete_surplus(user_id, client)
    pruning.prune_some()
    return session


_SURPLUS = delete(Session).where(
    Session.id.in_(
        select(Session.id)
        .where(Session.user_id == bindparam("user_id"))
        .order_by(
            Session.revoked_at.is_not(None) | (Session.expires_at <= bindparam("at")),
            Session.last_used_at.desc(),
        )
        .offset(bindparam("kept", type_=Integer))
    )
)


def _delete_surplus(user_id: int, client: ClientInfo) -> None:
    """Keep ``SESSIONS_PER_USER`` rows of a user: those in use, the latest first."""
    kept = current_app.config["SESSIONS_PER_USER"]
    if execute_in_transaction(_SURPLUS, {"user_id": user_id, "at": now(), "kept": kept}):
        audit.record(Event.SESSION_ENDED, client, user_id=user_id, reason="too many sessions")


def session_expiry(refreshed_at: datetime, *, created_at: datetime) -> datetime:
    """Return when a session ends that is refreshed once more and then never again."""
    settings = current_app.config
    idle = refreshed_at + timedelta(seconds=settings["JWT_REFRESH_TOKEN_EXPIRES"])
    return min(idle, created_at + timedelta(seconds=settings["SESSION_LIFETIME"]))


def log_out(claims: Iterable[dict[str, Any]], *, client: ClientInfo) -> None:
    """End the sessions of these tokens; ending one that is over already is no error.

    In the order of their ids, so that two who end the same two do not wait for each other.
    """
    for token in sorted(claims, key=lambda token: str(token["sid"])):
        _end_session_of(token, client)
    db.session.commit()


def revoke_token(claims: dict[str, Any], *, client: ClientInfo) -> None:
    """Revoke one token (RFC 7009): an access token alone, with a refresh token its session."""
    if claims["token_type"] == "refresh":
        _end_session_of(claims, client)
    elif load_token_state(claims):
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        listed = {"jti": claims["jti"], "expires_at": expires_at}
        if execute_in_transaction(
            insert_into(TokenBlocklist).values(listed).on_conflict_do_nothing()
        ):
            _record_event(Event.TOKEN_REVOKED, claims, client)
    pruning.prune_some()
    db.session.commit()


def _end_session_of(claims: dict[str, Any], client: ClientInfo) -> None:
    own = (Session.user_id == claims["user_id"]) & (Session.id == UUID(claims["sid"]))
    if end_sessions(own):
        _record_event(Event.SESSION_ENDED, claims, client)


def _record_event(event: Event, claims: dict[str, Any], client: ClientInfo) -> None:
    sid = UUID(claims["sid"])
    audit.record(event, client, user_id=claims["user_id"], session_id=sid)


def list_active(user_id: int) -> Sequence[Session]:
    """Return a user's live sessions, the one used last first."""
    live = (Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
    newest_first = (Session.last_used_at.desc(), Session.created_at.desc())
    return db.session.scalars(select(Session).where(*live).order_by(*newest_first)).all()


def revoke_session(user_id: int, session_id: UUID, *, client: ClientInfo) -> None:
    """End one session of a user; raises ``NotFound`` for anybody else's."""
    own = (Session.user_id == user_id) & (Session.id == session_id)
    if db.session.scalar(select(Session.id).where(own)) is None:
        raise NotFound
    if end_sessions(own):
        audit.record(Event.SESSION_ENDED, client, user_id=user_id, session_id=session_id)
    db.session.commit()


def revoke_other_sessions(current: TokenState, *, client: ClientInfo) -> None:
    """End every session of a user but the current one.

    The user's row is locked first, as by all that end several sessions, so that two devices that
    sign each other out do not wait for each other.
    """
    db.session.execute(select(User.id).where(User.id == current.user_id).with_for_update())
    if end_sessions((Session.user_id == current.user_id) & (Session.id != current.sid)):
        user_id = current.user_id
        audit.record(Event.SESSIONS_ENDED, client, user_id=user_id, session_id=current.sid)
    db.session.commit()


def revoke_all_sessions(user_id: int, *, but: UUID | None = None) -> None:
    """End every session of a user, or every one but this, in the caller's transaction."""
    end_sessions(
        (Session.user_id == user_id) & (Session.id != but) if but else Session.user_id == user_id
    )


def end_sessions(which: ColumnElement[bool]) -> int:
    """End the sessions that still live among ``which``; return how many those were."""
    return execute_in_transaction(
        update(Session).where(which, Session.revoked_at.is_(None)).values(revoked_at=now())
    )


def record_token_misuse(event: Event, claims: dict[str, Any], client: ClientInfo) -> None:
    """Put on record that a token was refused though its session lives: once an hour for each.

    So its owner learns of it, and nobody floods the trail through somebody else's browser.
    """
    session = load_token_state(claims)
    if (
        session
        and not session.is_over()
        and limiter.is_first_in_period(f"{event}/{session.sid}", 3600)
    ):
        audit.record(event, client, user_id=session.user_id, session_id=session.sid)
        db.session.commit()
