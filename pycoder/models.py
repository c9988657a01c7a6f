"""State, and questions about state. Times are aware UTC; ``now`` is the one clock."""

import unicodedata
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Uuid,
    false,
    true,
    update,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from pycoder.extensions import Base, db

EMAIL_LENGTH = 254
USER_AGENT_LENGTH = 255

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up


def now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


def canonical(text: str) -> str:
    """Return the form in which e-mails and usernames are compared: NFKC, without regard to case.

    So ``A@B.co``, ``a@b.co`` and full-width twins are one account; a Cyrillic ``а`` is another.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time, also where the database stores none of the two."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class User(Base):
    """An account. ``email`` is lower-case NFC, as mails are sent; the keys decide uniqueness."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second account

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    email_key: Mapped[str] = mapped_column(String(320), unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    username: Mapped[str] = mapped_column(String(254))
    username_key: Mapped[str] = mapped_column(String(320), unique=True)
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    date_joined: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class Session(Base):
    """One sign-in on one device: the family of every token that it was ever given.

    ``refresh_jti`` is its one live refresh token, ``previous_jti`` the one before; ``expires_at``
    moves with each refresh, up to ``SESSION_LIFETIME`` after ``created_at``. ``window_count``
    counts the refreshes since ``window_at``, for the limit ``refresh.session``. ``status_idx`` is
    its place in the status lists.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    refresh_jti: Mapped[str] = mapped_column(String(32))
    previous_jti: Mapped[str | None] = mapped_column(String(32))
    retry_key: Mapped[str | None] = mapped_column(String(64))
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

    @property
    def sid(self) -> UUID:
        return self.id


class TokenBlocklist(Base):
    """A single token revoked before its time."""

    __tablename__ = "token_blocklist"

    jti: Mapped[str] = mapped_column(String(32), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class OneTimeToken(Base):
    """The one live link of a purpose that was mailed to a user, as the SHA-256 of its secret.

    ``email`` is the address that it proves, where that is not the account's own yet.
    """

    __tablename__ = "one_time_tokens"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None] = mapped_column(String(EMAIL_LENGTH))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class OutgoingMail(Base):
    """A mail that is still to be sent, without the secret of its link, which outbox.py makes.

    ``user_id`` is empty while nobody has looked whose address key ``to`` is. From its first try on,
    ``due_at`` is when the next one is made unless this one succeeds.
    """

    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    template: Mapped[str] = mapped_column(String(20))
    to: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    client: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    tries: Mapped[int] = mapped_column(default=0)


class Lease(Base):
    """Who may do what only one process of all nodes does at a time, and until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class SigningKey(Base):
    """A key that signs tokens, encrypted by keys.py, from ``signs_from`` on until a newer one does.

    Who makes a key gives it the next number; of two who try at once, one succeeds.
    """

    __tablename__ = "signing_keys"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    algorithm: Mapped[str] = mapped_column(String(8))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    signs_from: Mapped[datetime] = mapped_column(UTCDateTime)


class StatusCounter(Base):
    """The last place in the status lists that was given away, in its one row."""

    __tablename__ = "status_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(BigInteger)


class Service(Base):
    """A service that may ask about tokens, and the SHA-256 of its secret."""

    __tablename__ = "services"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class RateLimit(Base):
    """A counter of throttle.py; ``expires_at`` in seconds since 1970, as ``limits`` counts."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    count: Mapped[int] = mapped_column()
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class AuditEvent(Base):
    """A security event. It outlives its user and session, so it refers to neither by key."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_user_id_id", "user_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    event: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str | None] = mapped_column(String(40))
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_LENGTH))
    request_id: Mapped[str | None] = mapped_column(String(128))


def hold(which: ColumnElement[bool]) -> User | None:
    """Return an active account as it is now, and keep it so until the transaction ends.

    By an UPDATE that changes nothing: on PostgreSQL it locks the row, on SQLite it takes the
    writer's turn. All that end several sessions or links of an account hold it first, so that
    they do not wait for each other in a circle.
    """
    held = update(User).where(which, User.is_active).values(is_active=True).returning(User)
    options = {"synchronize_session": False, "populate_existing": True}
    return db.session.scalars(held, execution_options=options).one_or_none()
