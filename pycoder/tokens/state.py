"""The state of a token: one SELECT decides whether it is still valid."""

from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from flask import current_app
from sqlalchemy import bindparam, select

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.prepared import PreparedStatement
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.ratelimit import limiter
from pycoder.tokens.status_list import LIST_SIZE


class TokenSubject(Protocol):
    """The session that tokens are issued for: a ``Session`` or a ``TokenState``."""

    @property
    def session_id(self) -> UUID: ...
    @property
    def user_id(self) -> int: ...
    @property
    def refresh_jti(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def rotated_at(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def status_idx(self) -> int: ...
    @property
    def authenticated_at(self) -> datetime: ...
    @property
    def amr(self) -> str: ...
    @property
    def roles(self) -> list[str]: ...
    @property
    def external_id(self) -> str | None: ...


class UserState(NamedTuple):
    """The user that a token belongs to, without the password hash."""

    id: int
    email: str
    email_verified: bool
    username: str
    first_name: str
    last_name: str
    is_active: bool
    date_joined: datetime
    roles: list[str]
    external_id: str | None


class TokenState(NamedTuple):
    """The session, the user and the blocklist entry of a token."""

    blocklisted_jti: str | None
    session_id: UUID
    refresh_jti: str
    previous_jti: str | None
    idempotency_key: str | None
    rotated_at: datetime | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    transport: str
    window_at: datetime | None
    window_count: int
    status_idx: int
    authenticated_at: datetime
    amr: str
    user: UserState

    @property
    def user_id(self) -> int:
        """The id of the user."""
        return self.user.id

    @property
    def roles(self) -> list[str]:
        """The roles of the user, sorted."""
        return self.user.roles

    @property
    def external_id(self) -> str | None:
        """The key that the user had elsewhere."""
        return self.user.external_id

    def is_over(self) -> bool:
        """Return whether the session was revoked, has expired, or its user is deactivated."""
        return self.revoked_at is not None or self.expires_at <= now() or not self.user.is_active

    def is_valid(self, claims: dict[str, Any]) -> bool:
        """Return whether a token of this session is neither revoked nor rotated."""
        rotated = claims["token_type"] == "refresh" and claims["jti"] not in self.refresh_jtis()
        return not (self.blocklisted_jti or self.is_over() or rotated)

    def refresh_jtis(self) -> tuple[str | None, ...]:
        """Return the jtis of the valid refresh tokens.

        With ``REFRESH_ROTATION=until_used`` the previous one is valid until its successor is used.
        """
        if current_app.config["REFRESH_ROTATION"] == "until_used":
            return self.refresh_jti, self.previous_jti
        return (self.refresh_jti,)

    def is_outdated(self, claims: dict[str, Any]) -> bool:
        """Return whether the roles have changed since an access token was signed.

        A change gives the session another index in the status lists, so that roles which came back
        make no token valid again that services refuse. A token that only PyCoder verifies has none.
        """
        if claims["token_type"] != "access":
            return False
        idx = self.status_idx % LIST_SIZE
        named = claims["status"]["status_list"]["idx"] if "status" in claims else idx
        return bool(named != idx or claims["roles"] != self.roles)


_SESSION_COLUMNS = [getattr(Session, name) for name in TokenState._fields[2:-1]]
_USER_COLUMNS = [getattr(User, name) for name in UserState._fields]
_TOKEN_STATE = PreparedStatement(
    select(TokenBlocklist.jti, Session.id, *_SESSION_COLUMNS, *_USER_COLUMNS)
    .join(User, User.id == Session.user_id)
    .outerjoin(TokenBlocklist, TokenBlocklist.jti == bindparam("jti"))
    .where(Session.id == bindparam("sid"), Session.user_id == bindparam("user_id"))
)


def load_token_state(claims: dict[str, Any]) -> TokenState | None:
    """Load the state of a token, or ``None`` if its session is gone."""
    sid = UUID(claims["sid"])
    row = _TOKEN_STATE.fetch_one({"jti": claims["jti"], "sid": sid, "user_id": claims["user_id"]})
    if row is None:
        return None
    user = UserState(*row[-len(_USER_COLUMNS) :])
    return TokenState._make([*row[: -len(_USER_COLUMNS)], user])


def reload_token_state(state: TokenState) -> TokenState | None:
    """Load the state of a session again, after another request has changed it."""
    claims = {"jti": "", "sid": str(state.session_id), "user_id": state.user_id}
    return load_token_state(claims)


def record_token_misuse(event: Event, claims: dict[str, Any]) -> None:
    """Record that a token of an active session was rejected.

    Each session records it once an hour. The user learns of it from the activity, and an attacker
    cannot flood the audit trail through the browser of another user.
    """
    state = load_token_state(claims)
    if state is None or state.is_over():
        return
    if limiter.is_first_in_period(f"{event}/{state.session_id}", 3600):
        audit.record_separately(event, user_id=state.user_id, session_id=state.session_id)
