"""Pending authentications: random values that come back in a later request.

A value is stored as its SHA-256. It is good for one kind of call, ends with the account's password,
address or activity, and with its session if it has one.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, select, update

from pycoder.clock import now
from pycoder.db.queries import autocommit, execute_in_transaction, fetch_one
from pycoder.models.pending_authentication import PendingAuthentication

SECOND_STEP, STEP_LIFETIME = "second_step", timedelta(minutes=5)
ENROLMENT, ENROLMENT_LIFETIME = "enrolment", timedelta(minutes=10)
MAXIMUM_PENDING = 5  # of one kind, user and origin
MAXIMUM_TRIES = 5

_TABLE = PendingAuthentication.__table__


def create(kind: str, user_id: int, lifetime: timedelta, **values: Any) -> str:
    """Add a pending authentication to the caller's transaction, and return its value.

    ``values`` are further columns. Once there are ``MAXIMUM_PENDING`` of the user, kind and origin,
    the oldest one is replaced. An attacker therefore cannot push out those of a known device, or of
    another network.
    """
    row = {"kind": kind, "user_id": user_id, "origin": values.get("origin", "")}
    same = [getattr(PendingAuthentication, name) == value for name, value in row.items()]
    newest = select(PendingAuthentication.digest).where(*same)
    newest = newest.order_by(PendingAuthentication.expires_at.desc()).limit(MAXIMUM_PENDING - 1)
    surplus = PendingAuthentication.digest.not_in(newest)
    execute_in_transaction(delete(PendingAuthentication).where(*same, surplus))
    value = secrets.token_urlsafe(32)
    row |= values | {"digest": digest_of(value), "expires_at": now() + lifetime}
    execute_in_transaction(insert(PendingAuthentication).values(row))
    return value


_LIVE = (
    PendingAuthentication.digest == bindparam("value_digest"),
    PendingAuthentication.kind == bindparam("of_kind"),
    PendingAuthentication.expires_at > bindparam("at"),
)
_USABLE = (*_LIVE, PendingAuthentication.tries < MAXIMUM_TRIES)
_FIND = select(_TABLE).where(*_USABLE)
_TRY = (
    update(_TABLE)  # type: ignore[arg-type]
    .where(*_USABLE)
    .values(tries=PendingAuthentication.tries + 1)
    .returning(_TABLE)
)
_OF_SESSION = (
    select(_TABLE)
    .where(PendingAuthentication.session_id == bindparam("of_session"), *_LIVE[1:])
    .order_by(PendingAuthentication.expires_at.desc())
    .limit(1)
)
_TAKE = delete(PendingAuthentication).where(*_LIVE)


def find(kind: str, value: str) -> Row[Any] | None:
    """Return a pending authentication that can still be used, outside any transaction."""
    return fetch_one(_FIND, _values(kind, value))


def find_of_session(kind: str, session_id: UUID) -> Row[Any] | None:
    """Return the newest pending authentication of a session, outside any transaction."""
    return fetch_one(_OF_SESSION, {"of_kind": kind, "of_session": session_id, "at": now()})


def count_try(kind: str, value: str) -> Row[Any] | None:
    """Count one of ``MAXIMUM_TRIES`` uses, and return the row if one was left.

    It is counted in a transaction of its own, before the caller knows whether the use succeeds.
    """
    with autocommit() as connection:
        return connection.execute(_TRY, _values(kind, value)).first()


def take(kind: str, value: str) -> bool:
    """Delete a pending authentication in the caller's transaction.

    Return whether it was there: of simultaneous callers, one gets it.
    """
    return execute_in_transaction(_TAKE, _values(kind, value)) == 1


def take_found(row: Row[Any]) -> bool:
    """Delete a pending authentication that was found, as ``take`` does."""
    same = PendingAuthentication.digest == row.digest
    return execute_in_transaction(delete(PendingAuthentication).where(same)) == 1


def revoke(user_id: int) -> None:
    """Delete all pending authentications of a user in the caller's transaction."""
    theirs = PendingAuthentication.user_id == user_id
    execute_in_transaction(delete(PendingAuthentication).where(theirs))


def digest_of(value: str) -> str:
    """Return the SHA-256 of a value, by which it is stored."""
    return sha256(value.encode()).hexdigest()


def _values(kind: str, value: str) -> dict[str, Any]:
    return {"value_digest": digest_of(value), "of_kind": kind, "at": now()}
