"""The pool in which passwords are hashed."""

import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pycoder.errors import Overloaded
from pycoder.passwords.pool import HashingPool
from tests.callers import Caller, Line, Server

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


def test_every_hash_goes_through_the_pool(app, ada, monkeypatch):
    pool = HashingPool(threads=1, waiting=0, patience=5)
    monkeypatch.setitem(app.extensions, "pycoder.hashing", pool)
    assert pool._room.acquire(blocking=False)
    stranger = Caller(app.test_client(), "nobody@example.com")
    for refused in (ada.try_login(), stranger.try_login(), stranger.register()):
        assert refused.status_code == 503
        assert refused.json["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) > 0
    pool._room.release()
    assert ada.try_login().status_code == 200
    assert stranger.register().status_code == 201


def test_a_refusal_for_want_of_room_is_no_failed_login(app, ada, monkeypatch):
    full = HashingPool(threads=1, waiting=0, patience=5)
    assert full._room.acquire(blocking=False)
    with monkeypatch.context() as patched:
        patched.setitem(app.extensions, "pycoder.hashing", full)
        for _ in range(15):
            assert ada.try_login().json["code"] == "overloaded"
    assert ada.try_login().status_code == 200


def test_the_pool_is_as_large_as_the_share_of_cores(app):
    from config import TestingConfig
    from pycoder import create_app
    from tests.callers import SECRET_KEY

    def threads(workers):
        environ = {"SECRET_KEY": SECRET_KEY, "WEB_CONCURRENCY": str(workers)}
        made = create_app(TestingConfig(environ, app.extensions["pycoder.config"].instance.parent))
        return made.extensions["pycoder.hashing"]._executor._max_workers

    cores = len(os.sched_getaffinity(0))
    assert threads(1) == cores
    assert threads(cores) == threads(10 * cores) == 1


def test_depth_wait_and_refusals_can_be_watched(ada, app):
    def metric(name):
        text = app.test_client().get("/metrics").text
        return float(re.search(rf"(?m)^{name} (\S+)$", text)[1])

    before = metric("pycoder_hashing_wait_seconds_count")
    ada.login()
    assert metric("pycoder_hashing_wait_seconds_count") == before + 1
    assert metric("pycoder_hashing_depth") == 0
    refused = metric("pycoder_hashing_refused_total")
    full = HashingPool(threads=1, waiting=0, patience=5)
    full._room.acquire()
    with pytest.raises(Overloaded):
        full.run(lambda: None)
    assert metric("pycoder_hashing_refused_total") == refused + 1


def test_metrics_are_for_monitors_inside(client):
    assert client.get("/metrics").status_code == 200
    outside = {"REMOTE_ADDR": "8.8.8.8"}
    assert client.get("/metrics", environ_overrides=outside).status_code == 404
    proxied = {"X-Forwarded-For": "10.0.0.1"}
    assert client.get("/metrics", headers=proxied).status_code == 404


def test_problems_are_counted(client):
    client.get("/nothing")
    assert 'pycoder_problems_total{code="not_found"}' in client.get("/metrics").text


def test_the_pool_starts_no_thread_before_the_first_hash():
    before = threading.active_count()
    pool = HashingPool(threads=4, waiting=4, patience=5)
    assert threading.active_count() == before
    assert pool.run(lambda: HashingPool.__module__) == "pycoder.passwords.pool"


@pytest.mark.untraced  # the server is another process
@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_storm_of_logins_leaves_threads_for_everybody_else(kind, new_database, tmp_path):
    settings = {"kind": kind, "workers": 1, "BCRYPT_ROUNDS": 9, "RATE_LIMITS": "off"}
    with Server(tmp_path, new_database(), **settings) as server, Line(server) as line:
        access = line.register("ada@example.com").json["tokens"]["access"]

        def insist(_):
            with Line(server) as line:
                while line.login("ada@example.com").status == 503:
                    time.sleep(0.05)

        with ThreadPoolExecutor(30) as pool:
            storm = [pool.submit(insist, n) for n in range(30)]
            while not any(login.done() for login in storm):  # until all are there
                time.sleep(0.01)
            assert [line.user(access).status for _ in range(20)] == [200] * 20
            assert sum(login.done() for login in storm) < len(storm) / 2


def test_a_taken_address_costs_a_hash_and_a_password_that_is_too_long_none(app, ada, monkeypatch):
    full = HashingPool(threads=1, waiting=0, patience=5)
    assert full._room.acquire(blocking=False)
    monkeypatch.setitem(app.extensions, "pycoder.hashing", full)
    stranger = Caller(app.test_client(), "nobody@example.com")
    assert {caller.register().status_code for caller in (ada, stranger)} == {503}
    for length in (129, 513, 60_000):
        assert stranger.register(password="p" * length).status_code == 400
    for caller in (ada, stranger):
        assert caller.try_login(password="p" * 513).status_code == 400
