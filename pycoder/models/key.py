"""The model of the signing keys."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime


class SigningKey(Base):
    """A key that signs tokens from ``not_before`` until a newer key does.

    It is encrypted by keys/key.py. Of simultaneous attempts to store a key under the next number,
    one succeeds.
    """

    __tablename__ = "signing_keys"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    algorithm: Mapped[str] = mapped_column(String(8))
    encrypted_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    not_before: Mapped[datetime] = mapped_column(UTCDateTime)
