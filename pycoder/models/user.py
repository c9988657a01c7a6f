"""The model of the accounts, and the lock of their rows."""

import unicodedata
from datetime import datetime

from sqlalchemy import ColumnElement, String, false, true, update
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime
from pycoder.extensions import db

EMAIL_LENGTH = 254


class User(Base):
    """An account.

    ``email`` is stored in lower case and NFC. The unique ``_key`` columns are normalized.
    """

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # the id of a deleted account is not reused

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
    """Return an e-mail address or username in the form that is compared.

    It is NFKC and case-folded. ``A@B.co``, ``a@b.co`` and their full-width forms are one account. A
    Cyrillic ``а`` makes another.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def lock_user(condition: ColumnElement[bool]) -> User | None:
    """Lock the row of an active user until the transaction ends, and return it.

    The user is read after the lock is taken; ``None`` means that no active user matches. Every
    transaction that ends several sessions or links of a user takes this lock first, so that no two
    of them deadlock. An UPDATE that changes nothing takes it, because SQLite has no ``SELECT … FOR
    UPDATE`` and would not start a write transaction.
    """
    locked = update(User).where(condition, User.is_active).values(is_active=True).returning(User)
    options = {"synchronize_session": False, "populate_existing": True}
    return db.session.scalars(locked, execution_options=options).one_or_none()
