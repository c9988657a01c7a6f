"""The model of the accounts, and the lock of their rows."""

import secrets
import unicodedata
from contextlib import suppress
from datetime import datetime
from hashlib import sha256

import idna
from sqlalchemy import ColumnElement, Index, LargeBinary, String, false, select, text, true, update
from sqlalchemy.orm import Mapped, column_property, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime, code_points
from pycoder.db.queries import execute_in_transaction
from pycoder.extensions import db
from pycoder.models.role import ROLES, UserRole

EMAIL_LENGTH = 254
EXTERNAL_ID_LENGTH = 255
LABEL_LENGTH = 63  # characters between two dots of a domain (RFC 1035 §2.3.4)


class User(Base):
    """An account.

    ``email`` is stored in lower case and NFC. The unique ``_key`` columns are normalized.
    ``external_id`` is the key that an imported account had elsewhere, if it was no number.
    ``handle`` names the account to authenticators of passkeys (WebAuthn Level 3 §5.4.3). ``roles``
    are those of when the row was read: under a lock, use ``roles_of``.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index(
            "ix_users_inactive",
            "id",
            sqlite_where=text("is_active = 0"),
            postgresql_where=text("NOT is_active"),
        ),
        {"sqlite_autoincrement": True},  # the id of a deleted account is not reused
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    external_id: Mapped[str | None] = mapped_column(String(EXTERNAL_ID_LENGTH), unique=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    email_key: Mapped[str] = mapped_column(code_points(320), unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    username: Mapped[str] = mapped_column(String(254))
    username_key: Mapped[str] = mapped_column(code_points(320), unique=True)
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    handle: Mapped[bytes] = mapped_column(LargeBinary, default=lambda: secrets.token_bytes(32))
    date_joined: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    roles: Mapped[list[str]] = column_property(
        select(ROLES)
        .where(UserRole.user_id == id)  # noqa: A003 - the column above
        .correlate_except(UserRole)
        .scalar_subquery(),
        expire_on_flush=False,
    )


def normalize_identifier(text: str) -> str:
    """Return an e-mail address or username in the form that is compared.

    It is NFKC with simple case folding, and the domain is in ASCII. ``A@B.co``, ``a@b.co`` and
    their full-width forms are one account. A Cyrillic ``а`` makes another, and so does ``ß`` in
    place of ``ss``, which full case folding would merge.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text)
    name, at, domain = text.rpartition("@") if "@" in text else (text, "", "")
    return unicodedata.normalize("NFKC", _fold(name)) + at + _domain_to_ascii(domain)


def _fold(text: str) -> str:
    """Apply simple case folding, which maps each character to one (Unicode §3.13.3)."""
    return "".join(f if len(f := char.casefold()) == 1 else char.lower() for char in text)


def _domain_to_ascii(domain: str) -> str:
    """Return a domain in ASCII, by the rules of UTS 46, non-transitional.

    email-validator applies the same rules. What is no domain is only folded. A label that is too
    long is not looked at, because that takes time quadratic in its length.
    """
    if not domain.isascii() and max(map(len, domain.split("."))) <= LABEL_LENGTH:
        with suppress(UnicodeError):
            return idna.encode(domain, uts46=True).decode()
    return _fold(domain)


def external_id_digest(external_id: str) -> str:
    """Return the digest by which the audit trail knows a deleted account."""
    return sha256(external_id.encode()).hexdigest()[:40]


def lock_user(condition: ColumnElement[bool]) -> User | None:
    """Lock an active user's row until the transaction ends and return its state.

    Every transaction that ends several sessions or links of a user takes this lock first, so that
    no two of them deadlock. SQLite ignores ``FOR NO KEY UPDATE``. There, an UPDATE that changes
    nothing starts the write transaction.
    """
    active = condition & User.is_active
    if db.engine.name == "sqlite":
        execute_in_transaction(update(User).where(active).values(is_active=True))
    locked = select(User).where(active).with_for_update(key_share=True)
    return db.session.scalars(locked, execution_options={"populate_existing": True}).one_or_none()
