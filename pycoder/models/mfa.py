"""The models of second factors: authenticator apps, recovery codes, passkeys."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime


class Totp(Base):
    """The authenticator app of an account (RFC 6238), with its encrypted secret.

    ``last_step`` is the time step of the last code that was used. No code of it or of an earlier
    one is valid again. ``burned_step`` is the last of the three steps that were valid when a
    recovery code was used: neither are their codes.
    """

    __tablename__ = "totp"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    encrypted_secret: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger)
    burned_step: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class RecoveryCode(Base):
    """A recovery code that was not used yet, as its SHA-256."""

    __tablename__ = "recovery_codes"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class Passkey(Base):
    """A passkey: a credential record (WebAuthn Level 3 §4).

    ``credential_id`` is in base64url, ``public_key`` a COSE key. ``rp_id`` is the relying party
    that it was registered for.
    """

    __tablename__ = "passkeys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[str] = mapped_column(String(1364), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    rp_id: Mapped[str] = mapped_column(String(253))
    aaguid: Mapped[str] = mapped_column(String(36))
    transports: Mapped[list[Any]] = mapped_column(JSON, default=list)
    backup_eligible: Mapped[bool] = mapped_column()
    backed_up: Mapped[bool] = mapped_column()
    name: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
