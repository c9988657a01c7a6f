"""Where the keys are kept, and when each of them signs and ends.

A key signs when every node and every verifier has it: it is published as soon as it is stored, and
its time is stored with it, so that all who have read the table change over by themselves. What it
signed is good until the last of its tokens has expired.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Row, select

from pycoder import audit, keys
from pycoder.audit import COMMAND_LINE, Event
from pycoder.errors import KeysUnreadable
from pycoder.extensions import autocommit, changed, db, insert_into
from pycoder.keys import Key, KeyRing
from pycoder.models import SigningKey, now

LOOK_EVERY = 2.0  # seconds between two looks of a process whether keys have changed
WITHOUT_DATABASE = 30.0  # seconds for which a process goes on with the keys that it knows
ROLL_OUT = timedelta(days=1)  # in which nodes may still run the version that kept no keys
LATE = 60  # seconds by which a key may sign after its time, for clocks that differ

_ROWS = select(SigningKey.__table__).order_by(SigningKey.number.desc())


class Keeper:
    """Keeps the ring of one process: looks for changed keys at the first use after a while.

    One thread looks and the others go on meanwhile. Who finds the database away says so; the others
    go on for ``WITHOUT_DATABASE``, and then nobody does. As long as nothing has changed, the ring
    stays, with all that it remembers.
    """

    def __init__(self, ring: KeyRing | None = None, looked_at: float = -math.inf):
        self._ring, self._looked_at, self._read_at = ring, looked_at, looked_at
        self._rows: Sequence[Row[Any]] = []

    def ring(self, no_older_than: float | None = None) -> KeyRing | None:
        """Return the ring as it was at most so many seconds ago, by default ``LOOK_EVERY``."""
        at = monotonic()
        too_old = at - self._looked_at >= (no_older_than or LOOK_EVERY)
        if too_old or at - self._read_at >= WITHOUT_DATABASE:
            self._look(at)
        return self._ring

    def _look(self, at: float) -> None:
        self._looked_at = at
        found = rows()
        if all(row.sealed is None and row.algorithm != _algorithm() for row in found):
            found = _first(found)
        if found != self._rows:
            self._ring, self._rows = KeyRing(opened(found)), found
        self._read_at = at


def rows() -> Sequence[Row[Any]]:
    """Read the stored keys, the newest first, outside any transaction."""
    with autocommit() as connection:
        return connection.execute(_ROWS).all()


def _first(found: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """Store the first key of an installation; of nodes that start together, one does.

    Where the migration has found sessions, they were signed with the key that is derived from
    SECRET_KEY, and nodes that know no other one may still serve: it goes on signing meanwhile.
    """
    with current_app.app_context():  # a transaction beside that of the request
        key = keys.generate(_algorithm())
        first = row_of(1, key, now() + ROLL_OUT if found else now())
        if changed(insert_into(SigningKey).values(first).on_conflict_do_nothing()):
            audit.record(Event.KEY_CREATED, COMMAND_LINE, reason=key.kid[:40])
        db.session.commit()
    return rows()


def _algorithm() -> str:
    return str(current_app.config["JWT_ALGORITHM"])


def row_of(number: int, key: Key, signs_from: datetime) -> dict[str, Any]:
    """Return the row that stores a key."""
    return {
        "number": number,
        "kid": key.kid,
        "algorithm": key.algorithm,
        "sealed": keys.seal(current_app.config["SECRET_KEY"], key),
        "created_at": now(),
        "signs_from": signs_from,
    }


def opened(stored: Iterable[Row[Any]]) -> list[Key]:
    """Open stored keys, the newest first; raises ``KeysUnreadable``."""
    secret, found, next_signs = current_app.config["SECRET_KEY"], [], math.inf
    longest = current_app.config["JWT_REFRESH_TOKEN_EXPIRES"] + LATE
    for row in stored:
        signs_from = row.signs_from.timestamp()
        try:
            key = keys.unseal(secret, row.kid, row.algorithm, row.sealed)
        except keys.Sealed as error:
            current_app.logger.error("signing key %s cannot be opened with SECRET_KEY", row.kid)
            raise KeysUnreadable from error
        found.append(replace(key, signs_from=signs_from, ends_at=next_signs + longest))
        next_signs = min(next_signs, signs_from)
    return found


def cache_lifetime() -> int:
    """Return for how many seconds others may keep our public keys: at most as long as a token."""
    longest: int = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return min(600, longest)


def overlap() -> timedelta:
    """Return how long a key is published before it signs: twice as long as others may not look."""
    return timedelta(seconds=2 * cache_lifetime() + LOOK_EVERY)


def init_app(app: Flask) -> None:
    app.extensions["pycoder.keys"] = Keeper()
