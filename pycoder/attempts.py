"""Tries: what is limited is counted, what is refused is recorded and committed."""

from collections.abc import Callable
from typing import TypeVar

from pycoder import audit, throttle
from pycoder.audit import Client, Event
from pycoder.errors import TooManyRequests
from pycoder.extensions import db

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
    database, says nothing about the password, so it counts as little as a success. Raises
    ``TooManyRequests``.
    """
    tries = limited(throttle.reserve, "login.account", who, client, user_id)
    try:
        found = work()
    except Exception:
        db.session.rollback()  # or SQLite would wait for itself
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
