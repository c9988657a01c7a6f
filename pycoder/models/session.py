"""The models of sessions, revoked tokens, and the indexes of the status lists."""

from datetime import datetime
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, String, Uuid, exists
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from pycoder.client_info import USER_AGENT_LENGTH
from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime


class Session(Base):
    """A login on one device, and the family of tokens that were issued for it.

    ``refresh_jti`` is its one valid refresh token, ``previous_jti`` the one before. ``expires_at``
    moves with each refresh, up to ``SESSION_LIFETIME`` after ``created_at``. ``window_count``
    counts the refreshes since ``window_at``, for the limit ``refresh.session``. ``status_idx`` is
    its index in the status lists. ``authenticated_at`` and ``amr`` are when and by which methods
    (RFC 8176, separated by spaces) the user authenticated.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    refresh_jti: Mapped[str] = mapped_column(String(32))
    previous_jti: Mapped[str | None] = mapped_column(String(32))
    idempotency_key: Mapped[str | None] = mapped_column(String(64))
    rotated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_LENGTH))
    transport: Mapped[str] = mapped_column(String(8), default="body", server_default="body")
    window_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    window_count: Mapped[int] = mapped_column(default=0, server_default="0")
    status_idx: Mapped[int] = mapped_column(BigInteger, index=True, unique=True)
    authenticated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    amr: Mapped[str] = mapped_column(String(40), default="pwd")

    current = False  # whether it is the session of the request; not stored
    roles = list[str]()  # of its user, when it was created; not stored
    external_id = cast(str | None, None)  # of its user; not stored

    @property
    def session_id(self) -> UUID:
        """The id, as ``TokenSubject`` names it."""
        return self.id


def is_active_session(session_id: UUID | InstrumentedAttribute[UUID | None]) -> ColumnElement[bool]:
    """Return the condition that a session is neither revoked nor expired."""
    is_active = Session.revoked_at.is_(None) & (Session.expires_at > now())
    return exists().where(Session.id == session_id, is_active)


class TokenBlocklist(Base):
    """A single token that was revoked before it expires."""

    __tablename__ = "token_blocklist"

    jti: Mapped[str] = mapped_column(String(32), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class StatusCounter(Base):
    """The last index of the status lists that was allocated, in a single row."""

    __tablename__ = "status_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(BigInteger)


class PendingIndex(Base):
    """An index of the status lists that was allocated to a session not committed yet."""

    __tablename__ = "pending_indexes"

    idx: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    allocated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
