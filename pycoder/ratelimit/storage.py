"""Rate limit counters in the application's database."""

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
            found: int = connection.execute(_upsert(db.engine.name), values).scalar_one()
            if found == amount:  # a new counter takes a few expired ones with it
                connection.execute(_PRUNE, {"at": at, "batch": 10})
            return found

    def _row(self, key: str) -> Any:
        return fetch_one(_COUNTER, {"key": key, "at": now().timestamp()})

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
_PRUNE = delete(RateLimit).where(RateLimit.key.in_(select_batch(RateLimit.key, _EXPIRED)), _EXPIRED)


@cache
def _upsert(dialect: str) -> Any:
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
