"""Named rate limits, counted atomically across all workers and nodes."""

import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.storage import Storage, storage_from_string

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.clock import now
from pycoder.errors import TooManyRequests
from pycoder.extensions import db
from pycoder.ratelimit.storage import DatabaseStorage

REDIS_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2, "wrap_exceptions": True}


@dataclass(frozen=True)
class Limits:
    """The named limits in force, none if they are off, and where they are counted."""

    items: Mapping[str, RateLimitItem]
    storage: Storage


def init_app(app: Flask) -> None:
    """Bind the limits to where ``RATE_LIMIT_STORAGE`` says that they are counted."""
    place = app.config["RATE_LIMIT_STORAGE"]
    if place == "database":
        storage: Storage = DatabaseStorage()
    else:
        options = REDIS_OPTIONS if place.startswith("redis") else {}
        url = place if "://" in place else f"{place}//"
        storage = cast(Storage, storage_from_string(url, **options))
    items = {name: parse(text) for name, text in app.config["RATE_LIMITS"].items()}
    app.extensions["pycoder.limits"] = Limits(items, storage)


def current_limits() -> Limits:
    return cast(Limits, current_app.extensions["pycoder.limits"])


def get_limit(name: str) -> RateLimitItem | None:
    """Return a named limit; None if limits are off."""
    return current_limits().items.get(name)


def count(name: str, subject: str) -> int:
    """Count one try of a subject, and return how many there were; raises ``TooManyRequests``."""
    limit = get_limit(name)
    if limit is None:
        return 0
    key = limit.key_for(name, subject)
    counted = current_limits().storage.incr(key, limit.get_expiry())
    if counted > limit.amount:
        raise TooManyRequests(retry_after(key), first=counted == limit.amount + 1)
    return counted


def is_first_in_period(subject: str, seconds: int) -> bool:
    """Tell whether something happens for the first time in a while; of many at once, one is."""
    return current_limits().storage.incr(subject, seconds) == 1


def retry_after(key: str) -> int:
    return max(1, math.ceil(current_limits().storage.get_expiry(key) - now().timestamp()))


def hash_identifier(text: str) -> str:
    """Return a subject that does not tell what somebody typed, which may be a password."""
    return sha256(text.encode()).hexdigest()[:32]


def client_network(ip: str | None) -> str:
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


def hit(
    count: Callable[[str, str], int],
    name: str,
    subject: str,
    client: ClientInfo,
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
