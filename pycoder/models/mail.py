"""The models of mailed links and of queued mails."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Uuid, false
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime
from pycoder.models.user import EMAIL_LENGTH


class OneTimeToken(Base):
    """A link of a user for a purpose, as the SHA-256 of its secret.

    ``email`` is the new address of a change of address, the old one that a link restores, which
    ``reserved_key`` reserves, or the one of the account when its first factor was added.
    ``keeps_factors`` is whether the account has had a second factor since before its address was
    changed, which the link does not remove. With a ``session_id``, the link is worth nothing once
    that session has ended.
    """

    __tablename__ = "one_time_tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None] = mapped_column(String(EMAIL_LENGTH))
    reserved_key: Mapped[str | None] = mapped_column(String(320), index=True)
    keeps_factors: Mapped[bool] = mapped_column(default=False, server_default=false())
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class OutgoingMail(Base):
    """A queued mail. mail/worker.py creates the secret of its link when it is sent.

    ``user_id`` is no foreign key, because notices outlive the account. A password reset has none,
    and its ``to`` is the normalized address that a client sent. The worker looks the account up.
    ``due_at`` is the time of the next attempt, ``tries`` the
    number of attempts so far, and ``refusals`` the number of those that were refused permanently. A
    lower ``priority`` is sent first. ``confirmed`` is whether the user had proved to read the mails
    to this address. ``numbers`` are those that the text contains, by name.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_priority_due_at", "priority", "due_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    template: Mapped[str] = mapped_column(String(20))
    to: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    user_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    client: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    tries: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int]
    confirmed: Mapped[bool] = mapped_column(server_default=false())
    numbers: Mapped[dict[str, int]] = mapped_column(JSON)
