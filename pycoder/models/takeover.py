"""The models of a takeover of the refresh tokens of another platform."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.db.base import Base, BigId, UTCDateTime

JTI_LENGTH = 255  # as in the tables of django-simplejwt
NAME_LENGTH = 255  # of a claim, an audience or an issuer


class Takeover(Base):
    """How the tokens of the platform are verified, and until when, in a single row.

    ``encrypted_key`` is empty once the takeover was stopped. ``started_at`` is the cut-over: no
    token that was issued later is traded. All of them have expired at ``last_expiry``. If
    ``listed``, only the tokens of ``TakeoverToken`` are traded. ``forged_at`` is when a wrong
    signature was recorded last.
    """

    __tablename__ = "takeover"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    algorithm: Mapped[str] = mapped_column(String(8))
    encrypted_key: Mapped[bytes] = mapped_column(LargeBinary)
    claim: Mapped[str] = mapped_column(String(NAME_LENGTH))
    audience: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    issuer: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    refresh_lifetime: Mapped[int]  # seconds
    listed: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime] = mapped_column(UTCDateTime)
    last_expiry: Mapped[datetime] = mapped_column(UTCDateTime)
    forged_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class TakeoverToken(Base):
    """An outstanding refresh token of the platform, from the list that was imported."""

    __tablename__ = "takeover_tokens"

    jti: Mapped[str] = mapped_column(String(JTI_LENGTH), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class AdoptedToken(Base):
    """A refresh token of the platform that was traded, and its session.

    The row outlives its session, so that the token is not traded again.
    """

    __tablename__ = "adopted_tokens"

    jti: Mapped[str] = mapped_column(String(JTI_LENGTH), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Uuid)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class TakeoverClosed(Base):
    """A user whose other tokens of the platform are not traded any more."""

    __tablename__ = "takeover_closed"

    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
