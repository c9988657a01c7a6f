"""Signing keys."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime


class SigningKey(Base):
    """A key that signs tokens, encrypted by keys.py, from ``not_before`` on until a newer one does.

    Who makes a key gives it the next number; of two who try at once, one succeeds.
    """

    __tablename__ = "signing_keys"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    algorithm: Mapped[str] = mapped_column(String(8))
    encrypted_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    not_before: Mapped[datetime] = mapped_column(UTCDateTime)
