"""The model of authentications that one request begins and a later one uses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.db.base import Base, UTCDateTime


class PendingAuthentication(Base):
    """A random value that was handed out, as its SHA-256, and what it is good for.

    ``kind`` is its purpose, ``tries`` the number of failed uses. With a ``session_id``, it is worth
    nothing once that session has ended. ``origin`` is the known device or the network that it was
    handed out to.
    """

    __tablename__ = "pending_authentications"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    origin: Mapped[str] = mapped_column(String(64), default="")
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    tries: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
