"""Login lockout: failures pause further attempts (OWASP "Login Throttling")."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from limits.errors import StorageError
from sqlalchemy.exc import SQLAlchemyError

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.faults import is_unresponsive
from pycoder.errors import InvalidCredentials, TooManyRequests
from pycoder.extensions import db
from pycoder.ratelimit.limiter import count, current_limits, get_limit, retry_after

LONGEST_PAUSE = 3600  # seconds
FAILURE = 10_000  # in a counter, beside attempts under way, which are 1 each
LONGEST_ATTEMPT = 60  # seconds; what is under way for longer belongs to a process that has died
BUSY_RETRY = 2  # seconds after which simultaneous attempts have usually ended
PAUSE_MEMORY = 86_400  # seconds without reaching the limit, after which pauses are short again


class Attempt(NamedTuple):
    """A reserved attempt, and the expiry of its counter in seconds since 1970."""

    limit: str
    key: str
    expires_at: float


@contextmanager
def guard(
    limit: str, key: str, rejection: Event, reason: str, user_id: int | None
) -> Iterator[None]:
    """Limit the attempts at a secret in a ``with`` block.

    ``InvalidCredentials`` raised inside counts as a failure. Any other exception is unrelated to
    the secret and does not count. A failure goes on record as ``rejection``. Raises
    ``TooManyRequests``.
    """
    attempt = _reserve(limit, key)
    try:
        yield
    except InvalidCredentials:
        db.session.rollback()
        paused = _record_failure(attempt)
        audit.record_separately(rejection, user_id=user_id, reason=reason)
        if paused:
            audit.record_separately(Event.LIMIT_REACHED, user_id=user_id, reason=limit)
        raise
    except Exception as fault:
        db.session.rollback()  # on SQLite, releasing would wait for this transaction
        if is_unresponsive(fault):  # the client would wait for it a second time
            current_limits().unreleased.append(attempt)
        else:
            _release(attempt)
        raise
    else:
        _release(attempt)


@contextmanager
def reserved(limit: str, key: str) -> Iterator[None]:
    """Bound by a limit how many ``with`` blocks of a key run at the same time.

    Raises ``TooManyRequests``.
    """
    attempt = _reserve(limit, key)
    try:
        yield
    finally:
        _release(attempt)


def reset(limit: str, key: str) -> None:
    """Forget all failures of a key, and its pauses."""
    if item := get_limit(limit):
        for counter in (item.key_for(limit, key), _pause(limit, key), _pause_count(limit, key)):
            current_limits().storage.clear(counter)


def _reserve(limit: str, key: str) -> Attempt:
    """Count an attempt before its outcome is known, and return it.

    Simultaneous attempts therefore cannot exceed the limit. Raises ``TooManyRequests``, also during
    a pause.
    """
    item, storage = get_limit(limit), current_limits().storage
    if item is None:
        return Attempt(limit, key, 0)
    _release_others()
    if storage.get(_pause(limit, key)):
        raise TooManyRequests(retry_after(_pause(limit, key)))
    counted = count(limit, key)
    attempt = Attempt(limit, key, storage.get_expiry(item.key_for(limit, key)))
    failures, under_way = _parts(counted)
    if failures + under_way > item.amount:  # no pause, so other attempts are under way
        if failures >= item.amount or not _is_stuck(limit, key, counted - 1):
            _release(attempt)
            raise TooManyRequests(BUSY_RETRY)
        storage.incr(item.key_for(limit, key), item.get_expiry(), 1 - under_way)
    return attempt


def _is_stuck(limit: str, key: str, others: int) -> bool:
    """Return whether the other attempts under way belong to processes that have died.

    The same count of them that is met again after ``LONGEST_ATTEMPT`` is one that nothing releases.
    Of simultaneous callers, one learns so, and uncounts them.
    """
    storage, met = current_limits().storage, f"stuck/{limit}/{key}/{others}"
    if storage.incr(met, 3 * LONGEST_ATTEMPT) == 1:
        return False
    age = 3 * LONGEST_ATTEMPT - (storage.get_expiry(met) - now().timestamp())
    return age >= LONGEST_ATTEMPT and storage.incr(f"unstuck/{limit}/{key}", LONGEST_ATTEMPT) == 1


def _parts(counted: int) -> tuple[int, int]:
    """Return the failures and the attempts under way of a counter.

    They share one counter, so that a failed attempt moves from one to the other in one statement.
    """
    failures = (counted + FAILURE // 2) // FAILURE
    return failures, counted - failures * FAILURE


def _release_others() -> None:
    """Release the attempts of this process that a fault kept in the counters."""
    unreleased = current_limits().unreleased
    for _ in range(len(unreleased)):
        with suppress(IndexError):  # another thread has released the last one
            attempt = unreleased.popleft()
            try:
                _uncount(attempt)
            except Exception:
                unreleased.append(attempt)
                raise


def _release(attempt: Attempt) -> None:
    """Uncount a reserved attempt that was no failure.

    If the storage does not respond, this is done before the next attempt.
    """
    try:
        _uncount(attempt)
    except (SQLAlchemyError, StorageError):
        current_limits().unreleased.append(attempt)


def _uncount(attempt: Attempt) -> None:
    """Subtract an attempt from its counter, unless its period is over."""
    item, storage = get_limit(attempt.limit), current_limits().storage
    counter = item and item.key_for(attempt.limit, attempt.key)
    if item and counter and _is_counted(attempt, counter) and storage.get(counter):
        storage.incr(counter, item.get_expiry(), -1)


def _is_counted(attempt: Attempt, counter: str) -> bool:
    """Return whether an attempt belongs to the present period of its counter.

    The expiry is compared with itself, not with the clock, which differs between nodes. Redis
    returns it to the second.
    """
    return abs(current_limits().storage.get_expiry(counter) - attempt.expires_at) < 2


def _record_failure(attempt: Attempt) -> bool:
    """Count a reserved attempt as a failure, and return whether it starts a pause.

    The last failure of a period starts one. The first pause is as long as the period of the limit;
    each further one is twice as long as the one before, up to an hour (OWASP Authentication Cheat
    Sheet, "Login Throttling").
    """
    item, storage = get_limit(attempt.limit), current_limits().storage
    if item is None:
        return False
    counter = item.key_for(attempt.limit, attempt.key)
    moved = FAILURE - _is_counted(attempt, counter)
    failures, _ = _parts(storage.incr(counter, item.get_expiry(), moved))
    if failures != item.amount:
        return False
    counter = _pause_count(attempt.limit, attempt.key)
    pauses = storage.get(counter) + 1
    storage.clear(counter)  # PAUSE_MEMORY starts anew
    storage.incr(counter, PAUSE_MEMORY, pauses)
    seconds = min(item.get_expiry() * 2 ** min(pauses - 1, 12), LONGEST_PAUSE)
    storage.incr(_pause(attempt.limit, attempt.key), max(seconds, item.get_expiry()))
    return True


def _pause(limit: str, key: str) -> str:
    return f"pause/{limit}/{key}"


def _pause_count(limit: str, key: str) -> str:
    return f"pauses/{limit}/{key}"
