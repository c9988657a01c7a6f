"""The gunicorn worker: its core, its share of connections, and the requests of one thread."""

import os
import socket
import time
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import ThreadWorker

from deploy.gunicorn_worker import Worker


def test_the_more_connections_a_worker_has_the_longer_others_have_for_the_next(monkeypatch):
    waited, taken = [], []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(ThreadWorker, "accept", lambda self, listener: taken.append(listener))
    worker = Worker.__new__(Worker)
    for worker.nr_conns in (0, 1, 4, 1000):
        worker.accept("listener")
    assert taken == ["listener"] * 4
    assert waited == sorted(waited)
    assert waited[0] == 0 < waited[1] < waited[-1] < 0.001


@pytest.mark.parametrize(
    ("workers", "taken", "core"),
    [(2, [], 3), (2, [3], 5), (2, [5], 3), (4, [3, 5, 5], 3), (3, [], None), (1, [], None)],
)
def test_a_core_is_chosen_where_all_have_as_many_workers(monkeypatch, workers, taken, core):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3}, raising=False)
    worker = Worker.__new__(Worker)
    worker.choose_core(workers, [SimpleNamespace(core=each) for each in taken])
    assert worker.core == core


def test_a_worker_whose_core_has_gone_begins_all_the_same(monkeypatch):
    begun = []

    def gone(pid, cores):
        raise OSError(f"{cores} has gone")

    monkeypatch.setattr(os, "sched_setaffinity", gone, raising=False)
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: begun.append(self))
    worker = Worker.__new__(Worker)
    worker.core = 5
    worker.init_process()
    assert begun == [worker]


@pytest.fixture
def kept_connection(monkeypatch):
    """A worker, a connection, its other end, and the requests that gunicorn handled of it."""
    ours, theirs = socket.socketpair()
    handled = []

    def handle(self, conn):
        handled.append(conn.sock.recv(1))
        return bool(handled[-1])

    monkeypatch.setattr(ThreadWorker, "handle", handle)
    worker = Worker.__new__(Worker)
    worker.alive, worker.cfg = True, SimpleNamespace(threads=1)
    worker.nr_conns, worker.keepalived_conns = 3, ["idle", "idle"]
    with ours, theirs:
        yield worker, SimpleNamespace(sock=ours), theirs, handled


def test_requests_that_follow_at_once_are_handled_by_the_same_thread(kept_connection):
    worker, conn, client, handled = kept_connection
    client.send(b"abc")
    assert worker.handle(conn) is True  # silent now: back to the main thread
    assert handled == [b"a", b"b", b"c"]


def test_a_connection_that_ends_is_left(kept_connection):
    worker, conn, client, handled = kept_connection
    client.send(b"a")
    client.close()
    assert worker.handle(conn) is False
    assert handled == [b"a", b""]


@pytest.mark.parametrize("change", [{"nr_conns": 4}, {"alive": False}])
def test_no_thread_stays_when_others_wait_for_it_or_the_worker_stops(kept_connection, change):
    worker, conn, client, handled = kept_connection
    vars(worker).update(change)
    client.send(b"ab")
    assert worker.handle(conn) is True
    assert handled == [b"a"]
