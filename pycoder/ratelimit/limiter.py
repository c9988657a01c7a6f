"""Named rate limits, counted atomically across all workers and nodes.

The counters live in the application's database, so that one machine needs no other server, or in
Redis for a fleet. Rate limiting fails closed: a storage that does not answer is a 503.
"""

import hmac
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.storage import Storage, storage_from_string

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import current_client, network_of
from pycoder.clock import now
from pycoder.errors import TooManyRequests
from pycoder.ratelimit.storage import DatabaseStorage
from pycoder.secret_key import derive_key

REDIS_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2, "wrap_exceptions": True}


@dataclass(frozen=True)
class Limits:
    """The named limits in force, none if they are off, and their counters.

    ``unreleased`` has the attempts of ratelimit/lockout.py that a fault kept in the counters.
    """

    items: Mapping[str, RateLimitItem]
    storage: Storage
    unreleased: deque[Any] = field(default_factory=deque)


def init_app(app: Flask) -> None:
    """Create the limits of ``RATE_LIMITS`` in the storage ``RATE_LIMIT_STORAGE``."""
    location = app.config["RATE_LIMIT_STORAGE"]
    if location == "database":
        storage: Storage = DatabaseStorage()
    else:
        options = REDIS_OPTIONS if location.startswith("redis") else {}
        url = location if "://" in location else f"{location}//"
        storage = cast(Storage, storage_from_string(url, **options))
    items = {name: parse(text) for name, text in app.config["RATE_LIMITS"].items()}
    app.extensions["pycoder.limits"] = Limits(items, storage)


def current_limits() -> Limits:
    """Return the limits of the current application."""
    return cast(Limits, current_app.extensions["pycoder.limits"])


def get_limit(name: str) -> RateLimitItem | None:
    """Return a named limit, or ``None`` if limits are off."""
    return current_limits().items.get(name)


def hit(name: str, key: str, user_id: int | None = None) -> None:
    """Count a request against a named limit.

    The first rejection of a period goes on record. Raises ``TooManyRequests``.
    """
    limit, total = get_limit(name), count(name, key)
    if limit is None or total <= limit.amount:
        return
    if total == limit.amount + 1:
        audit.record_separately(Event.LIMIT_REACHED, user_id=user_id, reason=name)
    raise TooManyRequests(retry_after(limit.key_for(name, key)))


def is_exceeded(name: str, key: str) -> bool:
    """Count against a named limit, and return whether it is exceeded."""
    limit = get_limit(name)
    return limit is not None and count(name, key) > limit.amount


def require_room(name: str, key: str) -> None:
    """Require that a named limit is not reached, without counting.

    Raises ``TooManyRequests``.
    """
    limit = get_limit(name)
    if limit and current_limits().storage.get(counter := limit.key_for(name, key)) >= limit.amount:
        raise TooManyRequests(retry_after(counter))


def amount_of(name: str) -> int:
    """Return how much a named limit allows in a period, 0 if limits are off."""
    limit = get_limit(name)
    return limit.amount if limit else 0


def count(name: str, key: str) -> int:
    """Count against a named limit, and return the total of this period.

    Without limits, it is 0.
    """
    limit = get_limit(name)
    if limit is None:
        return 0
    return current_limits().storage.incr(limit.key_for(name, key), limit.get_expiry())


def is_first_in_period(key: str, seconds: int) -> bool:
    """Return whether no node called this with ``key`` for so many ``seconds``."""
    return current_limits().storage.incr(key, seconds) == 1


def end_period(key: str) -> None:
    """Make the next call of ``is_first_in_period`` the first."""
    current_limits().storage.clear(key)


def retry_after(counter: str) -> int:
    """Return the seconds until a counter expires, at least 1."""
    return max(1, math.ceil(current_limits().storage.get_expiry(counter) - now().timestamp()))


def hash_identifier(identifier: str) -> str:
    """Return a key that hides what a user typed, which may be a password.

    Only with ``SECRET_KEY`` can a guess be compared with it.
    """
    key = derive_key(current_app.config["SECRET_KEY"], "typed identifiers")
    return hmac.digest(key, identifier.encode(), "sha256").hex()[:32]


def client_network() -> str:
    """Return the network that the client counts for."""
    return network_of(current_client().ip)
