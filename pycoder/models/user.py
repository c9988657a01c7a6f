"""Accounts."""

import unicodedata
from datetime import datetime

from sqlalchemy import ColumnElement, String, false, true, update
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime
from pycoder.extensions import db

EMAIL_LENGTH = 254


class User(Base):
    """An account. ``email`` is lower-case NFC, as mails are sent; the keys decide uniqueness."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second account

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    email_key: Mapped[str] = mapped_column(String(320), unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    username: Mapped[str] = mapped_column(String(254))
    username_key: Mapped[str] = mapped_column(String(320), unique=True)
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    date_joined: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


def normalize_identifier(text: str) -> str:
    """Return the form in which e-mails and usernames are compared: NFKC, without regard to case.

    So ``A@B.co``, ``a@b.co`` and full-width twins are one account; a Cyrillic ``а`` is another.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def lock_user(which: ColumnElement[bool]) -> User | None:
    """Return an active account as it is now, and keep it so until the transaction ends.

    By an UPDATE that changes nothing: on PostgreSQL it locks the row, on SQLite it takes the
    writer's turn. All that end several sessions or links of an account hold it first, so that
    they do not wait for each other in a circle.
    """
    held = update(User).where(which, User.is_active).values(is_active=True).returning(User)
    options = {"synchronize_session": False, "populate_existing": True}
    return db.session.scalars(held, execution_options=options).one_or_none()
