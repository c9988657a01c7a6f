"""Limits: how often, counted atomically for all workers and nodes.

The counters live in the application's database, so that one machine needs no other server, or in
Redis for a fleet. A storage that does not answer is a 503: no limit is ever left out.
"""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, cast

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.storage import Storage, storage_from_string
from sqlalchemy import Double, Integer, bindparam, case, delete, select
from sqlalchemy.exc import SQLAlchemyError

from pycoder.errors import TooManyRequests
from pycoder.extensions import autocommit, batch_of, db, insert_into, read
from pycoder.models import RateLimit, now

REDIS_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2, "wrap_exceptions": True}
LONGEST_PAUSE = 3600
MEMORY_OF_PAUSES = 86_400  # after a day without reaching the limit, pauses are short again


class DatabaseStorage(Storage):
    """Counters in the application's database: one upsert a count, each its own transaction."""

    STORAGE_SCHEME = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, from 0 again where the old count has expired; return the new count."""
        at = now().timestamp()
        values = {"counted": key, "amount": amount, "at": at, "ends": at + expiry}
        with autocommit() as connection:
            found: int = connection.execute(_count_in(db.engine.name), values).scalar_one()
            if found == amount:  # a new counter takes a few expired ones with it
                connection.execute(_PRUNE, {"at": at, "batch": 10})
            return found

    def _row(self, key: str) -> Any:
        return read(_COUNTER, {"key": key, "at": now().timestamp()})

    def get(self, key: str) -> int:
        row = self._row(key)
        return row.count_ if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row(key)
        return row.expires_at if row else now().timestamp()

    def check(self) -> bool:
        return self.get("") == 0

    def reset(self) -> int | None:
        with autocommit() as connection:
            return connection.execute(delete(RateLimit)).rowcount

    def clear(self, key: str) -> None:
        with autocommit() as connection:
            connection.execute(delete(RateLimit).where(RateLimit.key == key))


_COUNTER = select(RateLimit.count.label("count_"), RateLimit.expires_at).where(
    RateLimit.key == bindparam("key"), RateLimit.expires_at > bindparam("at")
)


_EXPIRED = RateLimit.expires_at <= bindparam("at")
# asked twice: PostgreSQL judges a row that changed meanwhile by the outer condition alone
_PRUNE = delete(RateLimit).where(RateLimit.key.in_(batch_of(RateLimit.key, _EXPIRED)), _EXPIRED)


@cache
def _count_in(dialect: str) -> Any:
    """Return the upsert that counts, built once: building it takes longer than running it."""
    amount, ends = bindparam("amount", type_=Integer), bindparam("ends", type_=Double)
    started = insert_into(RateLimit).values(key=bindparam("counted"), count=amount, expires_at=ends)
    return started.on_conflict_do_update(
        index_elements=[RateLimit.key],
        set_={
            "count": case((_EXPIRED, amount), else_=RateLimit.count + amount),
            "expires_at": case((_EXPIRED, ends), else_=RateLimit.expires_at),
        },
    ).returning(RateLimit.count)


@dataclass(frozen=True)
class Limits:
    """The named limits in force, none if they are off, and where they are counted."""

    items: Mapping[str, RateLimitItem]
    storage: Storage


def init_app(app: Flask) -> None:
    """Bind the limits to where ``RATE_LIMIT_STORAGE`` says that they are counted."""
    place = app.config["RATE_LIMIT_STORAGE"]
    options = REDIS_OPTIONS if place.startswith("redis") else {}
    url = place if "://" in place else f"{place.rstrip(':')}://"
    storage = cast(Storage, storage_from_string(url, **options))
    items = {name: parse(text) for name, text in app.config["RATE_LIMITS"].items()}
    app.extensions["pycoder.limits"] = Limits(items, storage)


def limits() -> Limits:
    return cast(Limits, current_app.extensions["pycoder.limits"])


def item(name: str) -> RateLimitItem | None:
    """Return a named limit; None if limits are off."""
    return limits().items.get(name)


def count(name: str, subject: str) -> int:
    """Count one try of a subject, and return how many there were; raises ``TooManyRequests``."""
    limit = item(name)
    if limit is None:
        return 0
    key = limit.key_for(name, subject)
    counted = limits().storage.incr(key, limit.get_expiry())
    if counted > limit.amount:
        raise TooManyRequests(_wait(key), first=counted == limit.amount + 1)
    return counted


def is_first(subject: str, seconds: int) -> bool:
    """Tell whether something happens for the first time in a while; of many at once, one is."""
    return limits().storage.incr(subject, seconds) == 1


def reserve(name: str, subject: str) -> int:
    """Count a try whose outcome is not known yet, so that racing tries cannot exceed the limit.

    ``failed`` or ``give_back`` tells the outcome. Raises ``TooManyRequests``, also while a pause
    that earlier failures earned goes on.
    """
    paused = _pause(name, subject)
    if item(name) and limits().storage.get(paused):
        raise TooManyRequests(_wait(paused))
    try:
        return count(name, subject)
    except TooManyRequests as refusal:
        refusal.first = False  # what goes on record is the pause, see ``failed``
        raise


def give_back(name: str, subject: str) -> None:
    """Take a reserved try back: it was no failure. One whose period is over is gone already."""
    limit = item(name)
    if limit and limits().storage.get(limit.key_for(name, subject)) > 0:
        limits().storage.incr(limit.key_for(name, subject), limit.get_expiry(), -1)


def failed(name: str, subject: str, counted: int) -> bool:
    """Let a reserved try stand as a failure; the last one allowed starts a pause, and is told.

    The first pause is as long as the limit's own period; each further one is twice as long as the
    one before, up to an hour (OWASP Authentication Cheat Sheet, "Login Throttling").
    """
    limit = item(name)
    if limit is None or counted != limit.amount:
        return False
    earned = limits().storage.get(_pauses(name, subject)) + 1
    limits().storage.clear(_pauses(name, subject))  # its day begins anew
    limits().storage.incr(_pauses(name, subject), MEMORY_OF_PAUSES, earned)
    seconds = min(limit.get_expiry() * 2 ** min(earned - 1, 12), LONGEST_PAUSE)
    limits().storage.incr(_pause(name, subject), max(seconds, limit.get_expiry()))
    return True


def forget(name: str, subject: str) -> None:
    """Forget all failures of a subject, and the pauses that they earned."""
    if limit := item(name):
        for key in (limit.key_for(name, subject), _pause(name, subject), _pauses(name, subject)):
            limits().storage.clear(key)


def _pauses(name: str, subject: str) -> str:
    return f"pauses/{name}/{subject}"


def _pause(name: str, subject: str) -> str:
    return f"pause/{name}/{subject}"


def _wait(key: str) -> int:
    return max(1, math.ceil(limits().storage.get_expiry(key) - now().timestamp()))


def anonymous(text: str) -> str:
    """Return a subject that does not tell what somebody typed, which may be a password."""
    return sha256(text.encode()).hexdigest()[:32]


def network(ip: str | None) -> str:
    """Return the network that an address counts for: IPv6 by /64, IPv4-mapped as IPv4."""
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)
