"""The model of the rate limit counters."""

from sqlalchemy import Double, String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.db.base import Base


class RateLimit(Base):
    """A counter of ratelimit/storage.py. ``expires_at`` is in seconds since 1970."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    count: Mapped[int] = mapped_column()
    expires_at: Mapped[float] = mapped_column(Double, index=True)
