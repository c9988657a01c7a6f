"""Signing keys in the database, and the cached key ring of a process."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from flask import Flask, current_app
from sqlalchemy import select

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import COMMAND_LINE
from pycoder.clock import now
from pycoder.db.queries import autocommit, execute_in_transaction, insert_into
from pycoder.errors import KeysUnreadable
from pycoder.extensions import db
from pycoder.keys.key import Key, KeyDecryptionError, decrypt_key, encrypt_key, generate_key
from pycoder.keys.ring import KeyRing
from pycoder.models.key import SigningKey

REFRESH_INTERVAL = 2.0  # seconds between two looks of a process whether keys have changed
PROPAGATION_DELAY = (
    REFRESH_INTERVAL + 2.0
)  # seconds after which all processes have looked, however slowly
MAX_STALENESS = 30.0  # seconds for which a process goes on with the keys that it knows
CLOCK_SKEW = 60  # seconds by which a key may sign after its time, for clocks that differ
DECRYPTION_FAILED = (
    "SECRET_KEY does not open the signing key %s: set the SECRET_KEY that it was made with, or"
    " withdraw it by flask keys retire"
)

_ROWS = select(SigningKey.__table__).order_by(SigningKey.number.desc())


class StoredKey(NamedTuple):
    """A key as it is stored; it signs from one moment on, until a newer one does (since 1970)."""

    number: int
    kid: str
    algorithm: str
    sealed: bytes
    signs_from: float
    stops_at: float

    @property
    def ends_at(self) -> float:
        """When the last token that it can have signed has expired."""
        longest: int = current_app.config["JWT_REFRESH_TOKEN_EXPIRES"]
        return self.stops_at + longest + CLOCK_SKEW

    def opened(self) -> Key:
        """Return the key itself; raises ``KeysUnreadable``."""
        secret = current_app.config["SECRET_KEY"]
        try:
            key = decrypt_key(secret, self.kid, self.algorithm, self.sealed)
        except KeyDecryptionError as error:
            current_app.logger.error(DECRYPTION_FAILED, self.kid)
            raise KeysUnreadable from error
        return replace(key, signs_from=self.signs_from, ends_at=self.ends_at)


class KeyRingCache:
    """Keeps the ring of one process: looks for changed keys at the first use after a while.

    One thread looks and the others go on meanwhile. Who finds the database away says so; the others
    go on for ``WITHOUT_DATABASE``, and then nobody does. As long as nothing has changed, the ring
    stays, with all that it remembers.
    """

    def __init__(self, ring: KeyRing | None = None, looked_at: float = -math.inf):
        self._ring, self._looked_at, self._read_at = ring, looked_at, looked_at
        self._kept: list[StoredKey] = []

    def ring(self, no_older_than: float | None = None) -> KeyRing | None:
        """Return the ring as it was at most so many seconds ago, by default ``LOOK_EVERY``."""
        at = monotonic()
        too_old = at - self._looked_at >= (no_older_than or REFRESH_INTERVAL)
        if too_old or at - self._read_at >= MAX_STALENESS:
            self._look(at)
        return self._ring

    def _look(self, at: float) -> None:
        self._looked_at = at
        found = load_stored_keys() or _store_first_key()
        if found != self._kept:
            self._ring, self._kept = KeyRing(kept.opened() for kept in found), found
        self._read_at = at


def load_stored_keys() -> list[StoredKey]:
    """Read the stored keys, the newest first, outside any transaction."""
    found, stops_at = [], math.inf
    with autocommit() as connection:
        for row in connection.execute(_ROWS):
            signs_from = row.signs_from.timestamp()
            found.append(
                StoredKey(row.number, row.kid, row.algorithm, row.sealed, signs_from, stops_at)
            )
            stops_at = min(stops_at, signs_from)
    return found


def _store_first_key() -> list[StoredKey]:
    """Store the first key of an installation; of nodes that start together, one does."""
    with current_app.app_context():  # a transaction beside that of the request
        if key := store_key(now(), number=1):
            audit.record(Event.KEY_CREATED, COMMAND_LINE, reason=key.kid[:40])
        db.session.commit()
    return load_stored_keys()


def store_key(signs_from: datetime, *, number: int) -> Key | None:
    """Add a new key to the caller's transaction; None if another one has this number already."""
    key = generate_key(current_app.config["JWT_ALGORITHM"])
    row = {
        "number": number,
        "kid": key.kid,
        "algorithm": key.algorithm,
        "sealed": encrypt_key(current_app.config["SECRET_KEY"], key),
        "created_at": now(),
        "signs_from": signs_from,
    }
    return (
        key
        if execute_in_transaction(insert_into(SigningKey).values(row).on_conflict_do_nothing())
        else None
    )


def jwks_max_age() -> int:
    """Return for how many seconds others may keep our public keys: at most as long as a token."""
    longest: int = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return min(600, longest)


def publication_period() -> timedelta:
    """Return how long a key is published before it signs: twice as long as others may not look."""
    return timedelta(seconds=2 * jwks_max_age() + REFRESH_INTERVAL)


def init_app(app: Flask) -> None:
    app.extensions["pycoder.keys"] = KeyRingCache()
