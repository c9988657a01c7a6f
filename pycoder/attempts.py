"""Tries: what is limited is counted, what is refused is recorded and committed."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pycoder import audit, devices, throttle, tokens
from pycoder.audit import Client, Event
from pycoder.errors import TooManyRequests
from pycoder.extensions import db
from pycoder.models import canonical
from pycoder.sqlite import BUSY

T = TypeVar("T")


def limited(
    count: Callable[[str, str], int],
    name: str,
    subject: str,
    client: Client,
    user_id: int | None = None,
) -> int:
    """Count a try; the first one over a limit is on record. Raises ``TooManyRequests``."""
    try:
        return count(name, subject)
    except TooManyRequests as refusal:
        if refusal.first:
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason=name)
            db.session.commit()
        raise


def suspect(event: Event, claims: dict[str, Any], client: Client) -> None:
    """Put on record that a token was refused though its session lives: once an hour for each.

    So its owner learns of it, and nobody floods the trail through somebody else's browser.
    """
    session = tokens.standing(claims)
    if session and not session.is_over() and throttle.is_first(f"{event}/{session.sid}", 3600):
        audit.record(event, client, user_id=session.user_id, session_id=session.sid)
        db.session.commit()


def subject(account: Any, identifier: str, client: Client) -> str:
    """Return whose failures count: those of a known device apart from those of everybody else.

    An unknown account is counted like a known one, under what its identifier hashes to.
    """
    if account is None:
        return throttle.anonymous(canonical(identifier))
    device = devices.known(client.device, account.id)
    return f"{account.id}/{device}" if device else str(account.id)


def at_password(
    work: Callable[[], T | None],
    who: str,
    refusal: tuple[Event, str],
    *,
    client: Client,
    user_id: int | None,
) -> T | None:
    """Return what a try at a password yields; one that yields nothing is counted and recorded.

    ``work`` leaves no transaction open. What it raises, like ``Overloaded`` or the faults of a
    database, says nothing about the password, so it counts as little as a success; only while the
    database is away it does, since nobody is kept waiting for that twice. Raises
    ``TooManyRequests``.
    """
    tries = limited(throttle.reserve, "login.account", who, client, user_id)
    try:
        found = work()
    except Exception as fault:
        db.session.rollback()  # or SQLite would wait for itself
        if not _is_away(fault):
            throttle.give_back("login.account", who)
        raise
    if found is not None:
        throttle.give_back("login.account", who)
    else:
        event, reason = refusal
        paused = throttle.failed("login.account", who, tries)
        audit.record(event, client, user_id=user_id, reason=reason)
        if paused:
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason="login.account")
        db.session.commit()
    return found


def _is_away(fault: Exception) -> bool:
    """Tell whether the next statement, too, would only wait for the database in vain."""
    if isinstance(fault, DBAPIError):
        busy = getattr(fault.orig, "sqlite_errorcode", None) in BUSY
        return busy or fault.connection_invalidated
    return isinstance(fault, PoolTimeout)
