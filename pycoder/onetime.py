"""Secrets that are mailed: good for one purpose, once, and not for long.

256 random bits, stored as their SHA-256. An account has one of a purpose at most, so the newest
replaces the one before it; all of them end when its password or address changes.
"""

import secrets
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, delete, select

from pycoder.extensions import changed, db, insert_into, read
from pycoder.models import OneTimeToken, User, hold, now


class Purpose(StrEnum):
    """What a secret is good for."""

    VERIFY = "verify_email"
    CHANGE = "change_email"
    RESET = "reset_password"


LIFETIMES = {
    Purpose.VERIFY: timedelta(hours=24),
    Purpose.CHANGE: timedelta(hours=24),
    Purpose.RESET: timedelta(hours=1),
}


class Redeemed(NamedTuple):
    """What a secret opened: the account, held, and what the secret was for."""

    user: User
    purpose: Purpose
    email: str | None


def issue(user_id: int, purpose: Purpose, email: str | None = None) -> str:
    """Add a new secret to the caller's transaction, in place of an older one of its purpose."""
    secret = secrets.token_urlsafe(32)
    made = {
        "digest": _digest(secret),
        "email": email,
        "expires_at": now() + LIFETIMES[purpose],
    }
    added = insert_into(OneTimeToken).values(user_id=user_id, purpose=purpose, **made)
    changed(added.on_conflict_do_update(index_elements=["user_id", "purpose"], set_=made))
    return secret


def look(secret: str, purpose: Purpose) -> Row[Any] | None:
    """Return the id, e-mail and username of the account that a secret opens, and leave it good."""
    owner = select(User.id, User.email, User.username).join(
        OneTimeToken, OneTimeToken.user_id == User.id
    )
    return read(owner.where(_good(secret, purpose), User.is_active), {})


def redeem(secret: str, *purposes: Purpose) -> Redeemed | None:
    """Use a secret up, in the caller's transaction; of many that try, one succeeds.

    The DELETE's row is the verdict. The account is held first, as by all that end its secrets.
    """
    good = _good(secret, *purposes)
    user = hold(User.id == select(OneTimeToken.user_id).where(good).scalar_subquery())
    used = delete(OneTimeToken).where(good).returning(OneTimeToken.purpose, OneTimeToken.email)
    row = user and db.session.execute(used).first()
    return Redeemed(user, Purpose(row.purpose), row.email) if user and row else None


def forget(user_id: int, *purposes: Purpose) -> None:
    """End the secrets of an account: those for these purposes, or all."""
    named = OneTimeToken.purpose.in_(purposes or Purpose)
    changed(delete(OneTimeToken).where(OneTimeToken.user_id == user_id, named))


def _good(secret: str, *purposes: Purpose) -> ColumnElement[bool]:
    return (
        (OneTimeToken.digest == _digest(secret))
        & OneTimeToken.purpose.in_(purposes)
        & (OneTimeToken.expires_at > now())
    )


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
