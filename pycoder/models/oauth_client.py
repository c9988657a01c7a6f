"""The model of the services that may introspect tokens."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime


class OAuthClient(Base):
    """A service that may introspect tokens, and the SHA-256 of its secret."""

    __tablename__ = "oauth_clients"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
