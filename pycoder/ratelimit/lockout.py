"""Login lockout: failures pause further attempts (OWASP "Login Throttling")."""

from collections.abc import Callable
from typing import TypeVar

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.db.faults import is_unresponsive
from pycoder.errors import TooManyRequests
from pycoder.extensions import db
from pycoder.ratelimit import limiter

LONGEST_PAUSE = 3600
PAUSE_MEMORY = 86_400  # after a day without reaching the limit, pauses are short again


def reserve(name: str, subject: str) -> int:
    """Count a try whose outcome is not known yet, so that racing tries cannot exceed the limit.

    ``failed`` or ``give_back`` tells the outcome. Raises ``TooManyRequests``, also while a pause
    that earlier failures earned goes on.
    """
    paused = _pause_key(name, subject)
    if limiter.get_limit(name) and limiter.current_limits().storage.get(paused):
        raise TooManyRequests(limiter.retry_after(paused))
    try:
        return limiter.count(name, subject)
    except TooManyRequests as refusal:
        refusal.first = False  # what goes on record is the pause, see ``failed``
        raise


def release(name: str, subject: str) -> None:
    """Take a reserved try back: it was no failure. One whose period is over is gone already."""
    limit = limiter.get_limit(name)
    if limit and limiter.current_limits().storage.get(limit.key_for(name, subject)) > 0:
        limiter.current_limits().storage.incr(limit.key_for(name, subject), limit.get_expiry(), -1)


def record_failure(name: str, subject: str, counted: int) -> bool:
    """Let a reserved try stand as a failure; the last one allowed starts a pause, and is told.

    The first pause is as long as the limit's own period; each further one is twice as long as the
    one before, up to an hour (OWASP Authentication Cheat Sheet, "Login Throttling").
    """
    limit = limiter.get_limit(name)
    if limit is None or counted != limit.amount:
        return False
    earned = limiter.current_limits().storage.get(_pause_count_key(name, subject)) + 1
    limiter.current_limits().storage.clear(_pause_count_key(name, subject))  # its day begins anew
    limiter.current_limits().storage.incr(_pause_count_key(name, subject), PAUSE_MEMORY, earned)
    seconds = min(limit.get_expiry() * 2 ** min(earned - 1, 12), LONGEST_PAUSE)
    limiter.current_limits().storage.incr(
        _pause_key(name, subject), max(seconds, limit.get_expiry())
    )
    return True


def reset(name: str, subject: str) -> None:
    """Forget all failures of a subject, and the pauses that they earned."""
    if limit := limiter.get_limit(name):
        for key in (
            limit.key_for(name, subject),
            _pause_key(name, subject),
            _pause_count_key(name, subject),
        ):
            limiter.current_limits().storage.clear(key)


def _pause_count_key(name: str, subject: str) -> str:
    return f"pauses/{name}/{subject}"


def _pause_key(name: str, subject: str) -> str:
    return f"pause/{name}/{subject}"


T = TypeVar("T")


def guard_password_check(
    work: Callable[[], T | None],
    who: str,
    refusal: tuple[Event, str],
    *,
    client: ClientInfo,
    user_id: int | None,
) -> T | None:
    """Return what a try at a password yields; one that yields nothing is counted and recorded.

    ``work`` leaves no transaction open. What it raises, like ``Overloaded`` or the faults of a
    database, says nothing about the password, so it counts as little as a success; only while the
    database is away it does, since nobody is kept waiting for that twice. Raises
    ``TooManyRequests``.
    """
    tries = limiter.hit(reserve, "login.account", who, client, user_id)
    try:
        found = work()
    except Exception as fault:
        db.session.rollback()  # or SQLite would wait for itself
        if not is_unresponsive(fault):
            release("login.account", who)
        raise
    if found is not None:
        release("login.account", who)
    else:
        event, reason = refusal
        paused = record_failure("login.account", who, tries)
        audit.record(event, client, user_id=user_id, reason=reason)
        if paused:
            audit.record(Event.LIMIT_REACHED, client, user_id=user_id, reason="login.account")
        db.session.commit()
    return found
