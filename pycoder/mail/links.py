"""Mailed links: secrets that are valid once, for one purpose, for a limited time.

A secret is 256 random bits, stored as their SHA-256. An account has at most one of a purpose: a new
one replaces the old. All of them are revoked when its password or e-mail address changes, and when
it is deactivated. A link that a session asked for is valid as long as the session is active.

A link that undoes a change of address is the exception. It belongs to the former address, not to
the account: each former address has its own, and only the link of an earlier address revokes it.

A link that removes the factors of an account is revoked with its last factor, and by nothing else.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one
from pycoder.extensions import db
from pycoder.models.mail import OneTimeToken, OutgoingMail
from pycoder.models.session import is_active_session
from pycoder.models.user import User, lock_user, normalize_identifier


class Purpose(StrEnum):
    """The purpose of a link."""

    VERIFY = "verify_email"
    CHANGE = "change_email"
    RESET = "reset_password"
    UNDO = "undo_email"
    UNDO_FACTORS = "undo_factors"
    INVITE = "invite"


OF_ACCOUNT = (Purpose.VERIFY, Purpose.CHANGE, Purpose.RESET, Purpose.INVITE)
OF_OWNERS = (Purpose.UNDO, Purpose.UNDO_FACTORS)  # the rights of owners against a thief

LIFETIMES = {  # settings in config.py
    Purpose.VERIFY: "EMAIL_LINK_LIFETIME",
    Purpose.CHANGE: "EMAIL_LINK_LIFETIME",
    Purpose.RESET: "RESET_LINK_LIFETIME",
    Purpose.UNDO: "UNDO_LINK_LIFETIME",
    Purpose.UNDO_FACTORS: "UNDO_LINK_LIFETIME",
    Purpose.INVITE: "INVITE_LINK_LIFETIME",
}


class ConsumedLink(NamedTuple):
    """The locked account of a consumed link, and the link itself."""

    user: User
    id: int
    purpose: Purpose
    email: str | None
    keeps_factors: bool


def issue(
    user_id: int, purpose: Purpose, email: str | None = None, session_id: UUID | None = None
) -> str:
    """Store a new secret in the caller's transaction, and return it.

    It replaces the account's secret for the same purpose, under ``lock_user``. ``email`` is the
    address that the link changes the account to, ``session_id`` the session that asked for it.
    """
    revoke(user_id, purpose)
    secret = secrets.token_urlsafe(32)
    _store(user_id, purpose, secret, email=email, session_id=session_id)
    return secret


def _store(user_id: int, purpose: Purpose, secret: str, **values: Any) -> None:
    row = {"user_id": user_id, "purpose": purpose, "digest": _digest(secret), **values}
    row["expires_at"] = now() + _lifetime(purpose)
    execute_in_transaction(insert(OneTimeToken).values(row))


def _lifetime(purpose: Purpose) -> timedelta:
    return timedelta(seconds=current_app.config[LIFETIMES[purpose]])


def prepare_undo(user_id: int, email: str, *, reserve: bool, keeps_factors: bool = False) -> None:
    """Add the right of a former address to undo a change of address.

    Call it in the transaction of the change: its rank among others and its lifetime count from
    there. ``issue_undo`` creates the secret when the mail is sent. With ``reserve``, no other
    account can get the address meanwhile. ``keeps_factors`` is whether the account has a factor
    that stays after an undo.
    """
    _delete_undo(user_id, OneTimeToken.email == email)  # an expired one
    key = normalize_identifier(email) if reserve else None
    values = {"email": email, "reserved_key": key, "keeps_factors": keeps_factors}
    _store(user_id, Purpose.UNDO, secrets.token_urlsafe(32), **values)


def prepare_factors_undo(user_id: int, email: str) -> None:
    """Add the right of an address to remove the factors of its account.

    Call it in the transaction of the first factor: its lifetime counts from there.
    """
    revoke(user_id, Purpose.UNDO_FACTORS)
    _store(user_id, Purpose.UNDO_FACTORS, secrets.token_urlsafe(32), email=email)


def end_with_factors(user_id: int) -> None:
    """Adapt the rights of owners, in the transaction that removes the last factor.

    The link that removes the factors is revoked. A link that undoes a change of address removes
    what is added from now on: a thief of the password needs no proof for it.
    """
    revoke(user_id, Purpose.UNDO_FACTORS)
    changes = update(OneTimeToken).where(OneTimeToken.user_id == user_id)
    execute_in_transaction(
        changes.where(OneTimeToken.purpose == Purpose.UNDO).values(keeps_factors=False)
    )


def can_undo_factors(user_id: int, email_key: str) -> bool:
    """Return whether a normalized address can remove an account's factors by a link."""
    valid = (OneTimeToken.user_id == user_id, OneTimeToken.expires_at > now())
    right = select(OneTimeToken.email).where(*valid, OneTimeToken.purpose == Purpose.UNDO_FACTORS)
    email = db.session.scalar(right)
    return email is not None and normalize_identifier(email) == email_key


def issue_undo(user_id: int, email: str, purpose: Purpose = Purpose.UNDO) -> str | None:
    """Replace the secret of a prepared undo link, and return it if there is one."""
    secret = secrets.token_urlsafe(32)
    theirs = (OneTimeToken.user_id == user_id, OneTimeToken.email == email)
    prepared = update(OneTimeToken).where(*theirs, OneTimeToken.purpose == purpose)
    return secret if execute_in_transaction(prepared.values(digest=_digest(secret))) else None


def revoke_undo_since(user_id: int, undo_id: int) -> None:
    """Revoke an undo link, and those of later changes of address.

    Earlier ones stay valid, so that a thief cannot get rid of the owner's link by another change.
    """
    _delete_undo(user_id, OneTimeToken.id >= undo_id)


def _delete_undo(user_id: int, condition: ColumnElement[bool]) -> None:
    theirs = (OneTimeToken.user_id == user_id, OneTimeToken.purpose == Purpose.UNDO)
    execute_in_transaction(delete(OneTimeToken).where(*theirs, condition))


def is_reserved(email: str, user_id: int) -> bool:
    """Return whether another account can return to this address by an undo link."""
    reserved = (
        (OneTimeToken.reserved_key == normalize_identifier(email))
        & (OneTimeToken.expires_at > now())
        & (OneTimeToken.user_id != user_id)
    )
    return db.session.scalar(select(OneTimeToken.id).where(reserved).limit(1)) is not None


def undo_links(user_id: int) -> Sequence[OneTimeToken]:
    """Return the valid undo links of an account, oldest change first."""
    valid = (OneTimeToken.user_id == user_id, OneTimeToken.expires_at > now())
    undo = select(OneTimeToken).where(*valid, OneTimeToken.purpose == Purpose.UNDO)
    return db.session.scalars(undo.order_by(OneTimeToken.id)).all()


def peek(secret: str, *purposes: Purpose) -> Row[Any] | None:
    """Return the id, e-mail address and username of a secret's account, or ``None``.

    The secret stays valid.
    """
    owner = select(User.id, User.email, User.username).join(
        OneTimeToken, OneTimeToken.user_id == User.id
    )
    return fetch_one(owner.where(_is_valid(secret, *purposes), User.is_active), {})


def consume(secret: str, *purposes: Purpose) -> ConsumedLink | None:
    """Consume a secret in the caller's transaction, and return its link, or ``None``.

    One DELETE decides, so that of simultaneous uses one succeeds. The account is locked first, as
    in every transaction that revokes its secrets.
    """
    valid = _is_valid(secret, *purposes)
    user = lock_user(User.id == select(OneTimeToken.user_id).where(valid).scalar_subquery())
    consumed = delete(OneTimeToken).where(valid).returning(OneTimeToken.__table__)
    row = user and db.session.execute(consumed).first()
    if not (user and row):
        return None
    purpose = Purpose(row.purpose)
    return ConsumedLink(user, row.id, purpose, row.email, row.keeps_factors)


def revoke(user_id: int, *purposes: Purpose) -> None:
    """Revoke the secrets of an account: for ``purposes``, or all but undo links."""
    named = OneTimeToken.purpose.in_(purposes or OF_ACCOUNT)
    execute_in_transaction(delete(OneTimeToken).where(OneTimeToken.user_id == user_id, named))


def _is_valid(secret: str, *purposes: Purpose) -> ColumnElement[bool]:
    return (
        (OneTimeToken.digest == _digest(secret))
        & OneTimeToken.purpose.in_(purposes)
        & (OneTimeToken.expires_at > now())
        & is_asker_active(OneTimeToken)
    )


def is_asker_active(model: type[OneTimeToken | OutgoingMail]) -> ColumnElement[bool]:
    """Return the condition that the session that asked for a link is active, if any."""
    return model.session_id.is_(None) | is_active_session(model.session_id)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
