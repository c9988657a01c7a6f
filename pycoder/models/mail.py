"""Mailed links, and the mails that wait to be sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime
from pycoder.models.user import EMAIL_LENGTH


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
