"""Tries: what is limited is counted, what is refused is recorded and committed."""

from collections.abc import Callable
from typing import TypeVar

from pycoder import audit, throttle
from pycoder.audit import Client, Event
from pycoder.errors import Overloaded, TooManyRequests
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

    The caller gives the other one back once its transaction is over. Raises ``TooManyRequests``.
    """
    tries = limited(throttle.reserve, "login.account", who, client, user_id)
    try:
        found = work()
    except Overloaded:
        throttle.give_back("login.account", who)
        raise
    if found is None:
        event, reason = refusal
        paused = throttle.failed("login.account", who, tries)
        audit.record(event, client, user_id=user_id, reason=reason)
        if paused:
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason="login.account")
        db.session.commit()
    return found
