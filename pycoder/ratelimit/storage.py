"""The storage of rate limit counters in the application's database."""

from functools import cache
from typing import Any

from limits.storage import Storage
from sqlalchemy import Double, Integer, bindparam, case, delete, select
from sqlalchemy.exc import SQLAlchemyError

from pycoder.clock import now
from pycoder.db.queries import autocommit, fetch_one, insert_into, select_batch
from pycoder.extensions import db
from pycoder.models.rate_limit import RateLimit


class DatabaseStorage(Storage):
    """A storage of the ``limits`` library: a count is one upsert in autocommit."""

    STORAGE_SCHEME = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """The exceptions that the storage raises."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter, and return its new value. An expired one starts at 0 again."""
        at = now().timestamp()
        values = {"counted": key, "amount": amount, "at": at, "ends": at + expiry}
        with autocommit() as connection:
            count: int = connection.execute(_upsert(db.engine.name), values).scalar_one()
            if count == amount:  # a new counter, so a few expired ones are deleted
                connection.execute(_PRUNE, {"at": at, "batch": 10})
            return count

    def _row(self, key: str) -> Any:
        return fetch_one(_COUNTER, {"key": key, "at": now().timestamp()})

    def get(self, key: str) -> int:
        """Return the value of a counter, or 0."""
        row = self._row(key)
        return row.count_ if row else 0

    def get_expiry(self, key: str) -> float:
        """Return the time at which a counter expires, in seconds since 1970."""
        row = self._row(key)
        return row.expires_at if row else now().timestamp()

    def check(self) -> bool:
        """Return whether the storage responds."""
        return self.get("") == 0

    def reset(self) -> int | None:
        """Delete all counters, and return their number."""
        with autocommit() as connection:
            return connection.execute(delete(RateLimit)).rowcount

    def clear(self, key: str) -> None:
        """Delete a counter."""
        with autocommit() as connection:
            connection.execute(delete(RateLimit).where(RateLimit.key == key))


_COUNTER = select(RateLimit.count.label("count_"), RateLimit.expires_at).where(
    RateLimit.key == bindparam("key"), RateLimit.expires_at > bindparam("at")
)

_EXPIRED = RateLimit.expires_at <= bindparam("at")
# PostgreSQL checks a row that has changed meanwhile against the outer condition only.
_PRUNE = delete(RateLimit).where(RateLimit.key.in_(select_batch(RateLimit.key, _EXPIRED)), _EXPIRED)


@cache
def _upsert(dialect: str) -> Any:
    """Return the upsert that counts. Building it takes longer than executing it."""
    amount, ends = bindparam("amount", type_=Integer), bindparam("ends", type_=Double)
    insert = insert_into(RateLimit).values(key=bindparam("counted"), count=amount, expires_at=ends)
    return insert.on_conflict_do_update(
        index_elements=[RateLimit.key],
        set_={
            "count": case((_EXPIRED, amount), else_=RateLimit.count + amount),
            "expires_at": case((_EXPIRED, ends), else_=RateLimit.expires_at),
        },
    ).returning(RateLimit.count)
