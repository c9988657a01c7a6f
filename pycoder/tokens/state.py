"""The state of a token, from one SELECT."""

from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import bindparam, select

from pycoder.clock import now
from pycoder.db.prepared import PreparedStatement
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User


class TokenSubject(Protocol):
    """What a pair is issued for: a ``Session``, or its ``Standing``."""

    @property
    def sid(self) -> UUID: ...
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


class TokenState(NamedTuple):
    """A token's session, user and blocklist entry, as one SELECT found them."""

    listed_jti: str | None
    sid: UUID
    refresh_jti: str
    previous_jti: str | None
    retry_key: str | None
    rotated_at: datetime | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    transport: str
    window_at: datetime | None
    window_count: int
    status_idx: int
    user_id: int
    email: str
    email_verified: bool
    username: str
    first_name: str
    last_name: str
    is_active: bool
    date_joined: datetime

    @property
    def id(self) -> int:
        return self.user_id

    def is_over(self) -> bool:
        return self.revoked_at is not None or self.expires_at <= now() or not self.is_active

    def is_good(self, claims: dict[str, Any]) -> bool:
        """Whether the token is good: not listed, of a live session, and not rotated away."""
        rotated = claims["token_type"] == "refresh" and claims["jti"] != self.refresh_jti
        return not (self.listed_jti or self.is_over() or rotated)


_TOKEN_STATE = PreparedStatement(
    select(
        TokenBlocklist.jti.label("listed_jti"),
        Session.id.label("sid"),
        Session.refresh_jti,
        Session.previous_jti,
        Session.retry_key,
        Session.rotated_at,
        Session.created_at,
        Session.expires_at,
        Session.revoked_at,
        Session.transport,
        Session.window_at,
        Session.window_count,
        Session.status_idx,
        Session.user_id,
        User.email,
        User.email_verified,
        User.username,
        User.first_name,
        User.last_name,
        User.is_active,
        User.date_joined,
    )
    .join(User, User.id == Session.user_id)
    .outerjoin(TokenBlocklist, TokenBlocklist.jti == bindparam("jti"))
    .where(Session.id == bindparam("sid"), Session.user_id == bindparam("user_id"))
)


def load_token_state(claims: dict[str, Any]) -> TokenState | None:
    """Look up what decides whether a token is good; None if its session is gone."""
    sid = UUID(claims["sid"])
    values = {"jti": claims["jti"], "sid": sid, "user_id": claims["user_id"]}
    row = _TOKEN_STATE.read(values)
    return TokenState._make(row) if row else None


def reload_token_state(seen: TokenState) -> TokenState | None:
    """Look a session up once more, as it is after a lost race."""
    return load_token_state({"jti": "", "sid": str(seen.sid), "user_id": seen.user_id})
