"""Login lockout: failures pause further attempts (OWASP "Login Throttling")."""

from collections.abc import Iterator
from contextlib import contextmanager

from pycoder import audit
from pycoder.audit import Event
from pycoder.db.faults import is_unresponsive
from pycoder.errors import InvalidCredentials, TooManyRequests
from pycoder.extensions import db
from pycoder.ratelimit.limiter import count, current_limits, get_limit, retry_after

LONGEST_PAUSE = 3600  # seconds
BUSY_RETRY = 2  # seconds after which simultaneous attempts have usually ended
PAUSE_MEMORY = 86_400  # seconds without reaching the limit, after which pauses are short again


@contextmanager
def guard(
    limit: str, key: str, rejection: Event, reason: str, user_id: int | None
) -> Iterator[None]:
    """Limit the attempts at a secret in a ``with`` block.

    ``InvalidCredentials`` raised inside counts as a failure. Any other exception is unrelated to
    the secret and does not count, unless the database is unresponsive: releasing the attempt would
    make the client wait for it a second time. A failure goes on record as ``rejection``. Raises
    ``TooManyRequests``.
    """
    attempt = _reserve(limit, key)
    try:
        yield
    except InvalidCredentials:
        db.session.rollback()
        paused = _record_failure(limit, key, attempt)
        audit.record_separately(rejection, user_id=user_id, reason=reason)
        if paused:
            audit.record_separately(Event.LIMIT_REACHED, user_id=user_id, reason=limit)
        raise
    except Exception as fault:
        db.session.rollback()  # on SQLite, releasing would wait for this transaction
        if not is_unresponsive(fault):
            _release(limit, key)
        raise
    else:
        _release(limit, key)


@contextmanager
def reserved(limit: str, key: str) -> Iterator[None]:
    """Bound by a limit how many ``with`` blocks of a key run at the same time.

    Raises ``TooManyRequests``.
    """
    _reserve(limit, key)
    try:
        yield
    finally:
        _release(limit, key)


def reset(limit: str, key: str) -> None:
    """Forget all failures of a key, and its pauses."""
    if item := get_limit(limit):
        for counter in (item.key_for(limit, key), _pause(limit, key), _pause_count(limit, key)):
            current_limits().storage.clear(counter)


def _reserve(limit: str, key: str) -> int:
    """Count an attempt before its outcome is known, and return its number.

    Simultaneous attempts therefore cannot exceed the limit. Raises ``TooManyRequests``, also during
    a pause.
    """
    item, storage = get_limit(limit), current_limits().storage
    if item is None:
        return 0
    if storage.get(_pause(limit, key)):
        raise TooManyRequests(retry_after(_pause(limit, key)))
    attempt = count(limit, key)
    if attempt > item.amount:  # without a pause, so other attempts are still under way
        _release(limit, key)
        raise TooManyRequests(BUSY_RETRY)
    return attempt


def _release(limit: str, key: str) -> None:
    """Uncount a reserved attempt that was no failure, unless its period is over."""
    item, storage = get_limit(limit), current_limits().storage
    if item and storage.get(item.key_for(limit, key)) > 0:
        storage.incr(item.key_for(limit, key), item.get_expiry(), -1)


def _record_failure(limit: str, key: str, attempt: int) -> bool:
    """Count a reserved attempt as a failure, and return whether it starts a pause.

    The last attempt of a period starts one. The first pause is as long as the period of the limit;
    each further one is twice as long as the one before, up to an hour (OWASP Authentication Cheat
    Sheet, "Login Throttling").
    """
    item, storage = get_limit(limit), current_limits().storage
    if item is None or attempt != item.amount:
        return False
    pauses = storage.get(_pause_count(limit, key)) + 1
    storage.clear(_pause_count(limit, key))  # PAUSE_MEMORY starts anew
    storage.incr(_pause_count(limit, key), PAUSE_MEMORY, pauses)
    seconds = min(item.get_expiry() * 2 ** min(pauses - 1, 12), LONGEST_PAUSE)
    storage.incr(_pause(limit, key), max(seconds, item.get_expiry()))
    return True


def _pause(limit: str, key: str) -> str:
    return f"pause/{limit}/{key}"


def _pause_count(limit: str, key: str) -> str:
    return f"pauses/{limit}/{key}"
