"""Signing keys in the database, and the cached key ring of a process.

A new key is published as soon as it is stored, and signs once every node and every verifier knows
it. The time is stored with the key, so that all processes change over by the clock. What a key
signed stays valid until the last of its tokens has expired.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

from flask import Flask, current_app
from sqlalchemy import select

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import NO_CLIENT, bound_client
from pycoder.clock import now
from pycoder.db.queries import autocommit, insert_into
from pycoder.errors import KeysUnreadable
from pycoder.keys.key import Key, KeyDecryptionError, decrypt_key, encrypt_key, generate_key
from pycoder.keys.ring import KeyRing
from pycoder.models.key import SigningKey

REFRESH_INTERVAL = 2.0  # seconds after which a process looks again whether the keys have changed
PROPAGATION_DELAY = REFRESH_INTERVAL + 2.0  # seconds after which every process has looked
MAX_STALENESS = 30.0  # seconds for which a process uses its keys while the database is away
CLOCK_SKEW = 60  # seconds by which the clocks of nodes may differ
DECRYPTION_FAILED = (
    "SECRET_KEY does not decrypt the signing key %s. Set the SECRET_KEY that it was stored with, or"
    " withdraw the key by flask keys retire."
)

_ROWS = select(SigningKey.__table__).order_by(SigningKey.number.desc())


class StoredKey(NamedTuple):
    """A key as it is stored. It signs from ``not_before`` until ``superseded_at``."""

    number: int
    kid: str
    algorithm: str
    encrypted_key: bytes
    not_before: float
    superseded_at: float

    @property
    def verify_until(self) -> float:
        """The expiry of the last token that the key can have signed."""
        longest: int = current_app.config["JWT_REFRESH_TOKEN_EXPIRES"]
        return self.superseded_at + longest + CLOCK_SKEW

    def decrypt(self) -> Key:
        """Return the key itself. Raises ``KeysUnreadable``."""
        secret = current_app.config["SECRET_KEY"]
        try:
            key = decrypt_key(secret, self.kid, self.algorithm, self.encrypted_key)
        except KeyDecryptionError as error:
            current_app.logger.error(DECRYPTION_FAILED, self.kid)
            raise KeysUnreadable from error
        return replace(key, not_before=self.not_before, verify_until=self.verify_until)


class KeyRingCache:
    """The key ring of a process, reloaded at the first use after ``REFRESH_INTERVAL``.

    One thread reloads while the others go on with the present ring. If the database is away, the
    thread that reloads fails; the others go on for ``MAX_STALENESS``, and fail from then on. The
    ring is replaced only if the keys have changed, so that its cache of tokens survives.
    """

    def __init__(self, ring: KeyRing | None = None, looked_at: float = -math.inf):
        self._ring, self._looked_at, self._loaded_at = ring, looked_at, looked_at
        self._stored: list[StoredKey] = []

    def ring(self, no_older_than: float | None = None) -> KeyRing | None:
        """Return the ring, at most ``no_older_than`` seconds old."""
        at = monotonic()
        too_old = at - self._looked_at >= (no_older_than or REFRESH_INTERVAL)
        if too_old or at - self._loaded_at >= MAX_STALENESS:
            self._reload(at)
        return self._ring

    def _reload(self, at: float) -> None:
        self._looked_at = at
        stored = load_stored_keys() or _store_first_key()
        if stored != self._stored:
            self._ring, self._stored = KeyRing(key.decrypt() for key in stored), stored
        self._loaded_at = at


def load_stored_keys() -> list[StoredKey]:
    """Load the stored keys, newest first, outside any transaction."""
    stored, superseded_at = [], math.inf
    with autocommit() as connection:
        for row in connection.execute(_ROWS):
            not_before = row.not_before.timestamp()
            stored.append(
                StoredKey(
                    row.number,
                    row.kid,
                    row.algorithm,
                    row.encrypted_key,
                    not_before,
                    superseded_at,
                )
            )
            superseded_at = min(superseded_at, not_before)
    return stored


def _store_first_key() -> list[StoredKey]:
    """Store the first key of an installation.

    Of nodes that start together, one succeeds.
    """
    key, insert = new_key(now(), number=1)
    with autocommit() as connection:
        stored = connection.execute(insert.returning(SigningKey.kid)).first()
    if stored:
        with bound_client(NO_CLIENT):  # no client caused it
            audit.record_separately(Event.KEY_CREATED, reason=key.kid[:40])
    return load_stored_keys()


def new_key(not_before: datetime, *, number: int) -> tuple[Key, Any]:
    """Generate a key, and return it with the INSERT that stores it.

    The INSERT does nothing if another key has this number already.
    """
    key = generate_key(current_app.config["JWT_ALGORITHM"])
    row = {
        "number": number,
        "kid": key.kid,
        "algorithm": key.algorithm,
        "encrypted_key": encrypt_key(current_app.config["SECRET_KEY"], key),
        "created_at": now(),
        "not_before": not_before,
    }
    return key, insert_into(SigningKey).values(row).on_conflict_do_nothing()


def jwks_max_age() -> int:
    """Return the seconds for which clients may cache the JWK set.

    This is at most the lifetime of an access token.
    """
    longest: int = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return min(600, longest)


def publication_period() -> timedelta:
    """Return how long a key is published before it signs: twice the cache lifetime."""
    return timedelta(seconds=2 * jwks_max_age() + REFRESH_INTERVAL)


def init_app(app: Flask) -> None:
    """Give the application an empty key ring cache."""
    app.extensions["pycoder.keys"] = KeyRingCache()
