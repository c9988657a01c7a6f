"""The pool in which passwords are hashed."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import DevelopmentConfig, TestingConfig
from pycoder.errors import Overloaded
from pycoder.passwords.pool import HashingPool

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has priorities and cores for each thread"
)


@pytest.fixture
def held():
    """A pool of one thread with room for one more, and a way to hold the thread up."""
    pool = HashingPool(threads=1, waiting=1, patience=5)
    gate, begun = threading.Event(), threading.Event()

    def hold():
        begun.set()
        return gate.wait(10)

    with ThreadPoolExecutor(4) as callers:
        first = callers.submit(pool.run, hold)
        assert begun.wait(5)
        yield pool, callers, gate
        gate.set()
        assert first.result(5) is True


def test_work_is_done_and_its_failure_is_passed_on():
    pool = HashingPool(threads=2, waiting=0, patience=5)
    assert pool.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 // 0)
    assert pool.run(lambda: 42) == 42


def test_a_full_line_is_told_at_once(held):
    pool, callers, gate = held
    waiting = callers.submit(pool.run, lambda: "waited")
    while pool._executor._work_queue.qsize() == 0:
        time.sleep(0.001)
    with pytest.raises(Overloaded):
        pool.run(lambda: "too many")
    gate.set()
    assert waiting.result(5) == "waited"
    assert pool.run(lambda: "room again") == "room again"


def test_who_waits_too_long_is_told_and_leaves_his_place():
    pool = HashingPool(threads=1, waiting=1, patience=0.05)
    gate = threading.Event()
    done = []
    with ThreadPoolExecutor(1) as callers:
        held = callers.submit(pool.run, gate.wait)
        with pytest.raises(Overloaded):
            held.result(5)
        with pytest.raises(Overloaded):
            pool.run(lambda: done.append("never"))
        gate.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert pool.run(lambda: "room again") == "room again"
            break
        except Overloaded:
            time.sleep(0.01)
    assert done == []


@on_linux
def test_hashing_gives_way_to_everything_else():
    pool = HashingPool(threads=1, waiting=0, patience=5)

    def standing():
        thread = threading.get_native_id()
        return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)

    own = standing()
    assert pool.run(standing) == (os.SCHED_IDLE, 19)
    assert standing() == own != (os.SCHED_IDLE, 19)


@on_linux
def test_hashing_takes_any_core_when_its_worker_keeps_to_one():
    def cores():
        return os.sched_getaffinity(threading.get_native_id())

    allowed = cores()
    pool = HashingPool(threads=1, waiting=0, patience=5)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert pool.run(cores) == allowed
    finally:
        os.sched_setaffinity(0, allowed)


@on_linux
def test_hashing_gives_way_as_far_as_it_is_let(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    pool = HashingPool(threads=1, waiting=0, patience=5)
    assert pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == 19


@on_linux
@pytest.mark.parametrize(("kind", "gives_way"), [(DevelopmentConfig, True), (TestingConfig, False)])
def test_hashing_keeps_its_priority_in_the_tests_alone(kind, gives_way, new_app):
    def priority():
        thread = threading.get_native_id()
        return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)

    lowest = (os.SCHED_IDLE, 19)
    pool = new_app(kind).extensions["pycoder.hashing"]
    assert pool.run(priority) == (lowest if gives_way else priority())


def test_the_pool_is_as_large_as_the_share_of_cores(app):
    from pycoder import create_app
    from tests.support.constants import SECRET_KEY

    def threads(workers):
        environ = {"SECRET_KEY": SECRET_KEY, "WEB_CONCURRENCY": str(workers)}
        made = create_app(TestingConfig(environ, app.extensions["pycoder.config"].instance.parent))
        return made.extensions["pycoder.hashing"]._executor._max_workers

    cores = len(os.sched_getaffinity(0))
    assert threads(1) == cores
    assert threads(cores) == threads(10 * cores) == 1


def test_the_pool_starts_no_thread_before_the_first_hash():
    before = threading.active_count()
    pool = HashingPool(threads=4, waiting=4, patience=5)
    assert threading.active_count() == before
    assert pool.run(lambda: HashingPool.__module__) == "pycoder.passwords.pool"
