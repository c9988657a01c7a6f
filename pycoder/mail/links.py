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

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one, insert_into
from pycoder.extensions import db
from pycoder.models.mail import OneTimeToken
from pycoder.models.user import User, lock_user


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


class ConsumedLink(NamedTuple):
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
    execute_in_transaction(
        added.on_conflict_do_update(index_elements=["user_id", "purpose"], set_=made)
    )
    return secret


def peek(secret: str, purpose: Purpose) -> Row[Any] | None:
    """Return the id, e-mail and username of the account that a secret opens, and leave it good."""
    owner = select(User.id, User.email, User.username).join(
        OneTimeToken, OneTimeToken.user_id == User.id
    )
    return fetch_one(owner.where(_is_valid(secret, purpose), User.is_active), {})


def consume(secret: str, *purposes: Purpose) -> ConsumedLink | None:
    """Use a secret up, in the caller's transaction; of many that try, one succeeds.

    The DELETE's row is the verdict. The account is held first, as by all that end its secrets.
    """
    good = _is_valid(secret, *purposes)
    user = lock_user(User.id == select(OneTimeToken.user_id).where(good).scalar_subquery())
    used = delete(OneTimeToken).where(good).returning(OneTimeToken.purpose, OneTimeToken.email)
    row = user and db.session.execute(used).first()
    return ConsumedLink(user, Purpose(row.purpose), row.email) if user and row else None


def revoke(user_id: int, *purposes: Purpose) -> None:
    """End the secrets of an account: those for these purposes, or all."""
    named = OneTimeToken.purpose.in_(purposes or Purpose)
    execute_in_transaction(delete(OneTimeToken).where(OneTimeToken.user_id == user_id, named))


def _is_valid(secret: str, *purposes: Purpose) -> ColumnElement[bool]:
    return (
        (OneTimeToken.digest == _digest(secret))
        & OneTimeToken.purpose.in_(purposes)
        & (OneTimeToken.expires_at > now())
    )


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
