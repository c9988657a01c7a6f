"""The model of the devices that an account has signed in on."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime


class Device(Base):
    """A device that an account has signed in on, as the SHA-256 of its id.

    The id is in the cookie of sessions/devices.py. Until ``remembered_until``, a login on it needs
    no second factor. With ``reset_at``, the password was reset since its last login: it is known
    for the second step alone, until the next one.
    """

    __tablename__ = "devices"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    remembered_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reset_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
