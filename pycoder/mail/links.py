"""Mailed links: secrets that are valid once, for one purpose, for a limited time.

A secret is 256 random bits, stored as their SHA-256. An account has at most one of a purpose: a new
one replaces the old. All of them are revoked when its password or e-mail address changes.
"""

import secrets
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from flask import current_app
from sqlalchemy import ColumnElement, Row, delete, select

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one, insert_into
from pycoder.extensions import db
from pycoder.models.mail import OneTimeToken
from pycoder.models.user import User, lock_user


class Purpose(StrEnum):
    """The purpose of a link."""

    VERIFY = "verify_email"
    CHANGE = "change_email"
    RESET = "reset_password"


LIFETIMES = {  # settings in config.py
    Purpose.VERIFY: "EMAIL_LINK_LIFETIME",
    Purpose.CHANGE: "EMAIL_LINK_LIFETIME",
    Purpose.RESET: "RESET_LINK_LIFETIME",
}


class ConsumedLink(NamedTuple):
    """The locked account of a consumed link, its purpose, and its new address if any."""

    user: User
    purpose: Purpose
    email: str | None


def issue(user_id: int, purpose: Purpose, email: str | None = None) -> str:
    """Store a new secret in the caller's transaction, and return it.

    It replaces the account's secret for the same purpose. ``email`` is the address that a link of
    ``Purpose.CHANGE`` changes the account to.
    """
    secret = secrets.token_urlsafe(32)
    lifetime = timedelta(seconds=current_app.config[LIFETIMES[purpose]])
    stored = {
        "digest": _digest(secret),
        "email": email,
        "expires_at": now() + lifetime,
    }
    upsert = insert_into(OneTimeToken).values(user_id=user_id, purpose=purpose, **stored)
    execute_in_transaction(
        upsert.on_conflict_do_update(index_elements=["user_id", "purpose"], set_=stored)
    )
    return secret


def peek(secret: str, purpose: Purpose) -> Row[Any] | None:
    """Return the id, e-mail address and username of a secret's account, or ``None``.

    The secret stays valid.
    """
    owner = select(User.id, User.email, User.username).join(
        OneTimeToken, OneTimeToken.user_id == User.id
    )
    return fetch_one(owner.where(_is_valid(secret, purpose), User.is_active), {})


def consume(secret: str, *purposes: Purpose) -> ConsumedLink | None:
    """Consume a secret in the caller's transaction, and return its link, or ``None``.

    One DELETE decides, so that of simultaneous uses one succeeds. The account is locked first, as
    in every transaction that revokes its secrets.
    """
    valid = _is_valid(secret, *purposes)
    user = lock_user(User.id == select(OneTimeToken.user_id).where(valid).scalar_subquery())
    consumed = delete(OneTimeToken).where(valid).returning(OneTimeToken.purpose, OneTimeToken.email)
    row = user and db.session.execute(consumed).first()
    return ConsumedLink(user, Purpose(row.purpose), row.email) if user and row else None


def revoke(user_id: int, *purposes: Purpose) -> None:
    """Revoke the secrets of an account: those for ``purposes``, or all."""
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
