"""Counters in the database."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text, update

from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.rate_limit import RateLimit
from pycoder.ratelimit.storage import DatabaseStorage
from tests.support.parameters import on_postgresql

# DatabaseStorage: the counters themselves


@pytest.fixture
def storage(app):
    with app.app_context():
        yield DatabaseStorage()


def test_a_counter_starts_again_when_it_has_expired(storage, clock):
    start = now().timestamp()
    assert [storage.incr("key", 60) for _ in range(3)] == [1, 2, 3]
    clock.shift(59)
    assert (storage.incr("key", 60), storage.get_expiry("key")) == (4, start + 60)
    clock.shift(1)
    assert (storage.get("key"), storage.get_expiry("key")) == (0, start + 60)
    assert (storage.incr("key", 60), storage.get_expiry("key")) == (1, start + 120)


def test_counters_can_be_cleared_one_by_one_and_together(storage):
    for key in ("one", "two", "three"):
        storage.incr(key, 60)
    storage.clear("one")
    assert [storage.get(key) for key in ("one", "two", "three")] == [0, 1, 1]
    assert storage.reset() == 2
    assert storage.get("two") == 0
    assert storage.check() is True


def test_new_counters_take_the_place_of_expired_ones(storage, clock, rows):
    for wave in range(4):
        for n in range(30):
            storage.incr(f"{wave}/{n}", 60)
        assert rows(select(func.count(RateLimit.key))) == [30]
        clock.shift(60)


def test_increments_of_many_threads_are_all_counted(app):
    def increment(_):
        with app.app_context():
            storage = DatabaseStorage()
            return [storage.incr("key", 600) for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        counts = [count for part in pool.map(increment, range(8)) for count in part]
    assert sorted(counts) == list(range(1, 401))


def test_increments_of_an_expired_counter_start_it_again_once(app, clock):
    barrier = threading.Barrier(8)

    def increment(_):
        with app.app_context():
            barrier.wait()
            return DatabaseStorage().incr("key", 60)

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(increment, range(8))) == list(range(1, 9))
        clock.shift(60)


@on_postgresql
def test_pruning_spares_a_counter_that_starts_again_at_that_moment(app, storage, clock):
    """SQLite has one writer at a time; PostgreSQL does not, and judges a changed row again."""
    storage.incr("old", 60)
    clock.shift(60)

    def start_another():
        with app.app_context():
            return DatabaseStorage().incr("new", 60)

    def somebody_waits():
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with db.engine.connect() as connection:
            return connection.execute(text(waiting)).scalar_one()

    again = {"count": 7, "expires_at": now().timestamp() + 60}
    with db.engine.connect() as another, ThreadPoolExecutor(1) as pool:
        another.execute(update(RateLimit).where(RateLimit.key == "old").values(again))
        started = pool.submit(start_another)
        while not started.done() and not somebody_waits():
            time.sleep(0.01)
        another.commit()
        assert started.result() == 1
    assert storage.get("old") == 7
