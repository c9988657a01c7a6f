"""The models of mailed links and of queued mails."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime
from pycoder.models.user import EMAIL_LENGTH


class OneTimeToken(Base):
    """The one valid link of a user for a purpose, as the SHA-256 of its secret.

    ``email`` is the new address of a change of address.
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
    """A queued mail. mail/worker.py creates the secret of its link when it is sent.

    A password reset has no ``user_id``, and its ``to`` is the normalized address that a client
    sent. The worker looks the account up. ``due_at`` is the time of the next attempt, ``tries`` the
    number of attempts so far, and ``refusals`` the number of those that were refused permanently. A
    lower ``priority`` is sent first. ``confirmed`` is whether the user had proved to read the mails
    to this address.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_priority_due_at", "priority", "due_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    template: Mapped[str] = mapped_column(String(20))
    to: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    client: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    tries: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int]
    confirmed: Mapped[bool] = mapped_column(server_default=false())
