"""The gunicorn worker on a real server: cores, and connections that stay with their thread."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.connections import ApiConnection
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process
on_linux = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux lets a process choose its cores, and tells in /proc how often it was woken",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with two workers on two of the machine's cores."""
    before = os.sched_getaffinity(0)
    two = set(sorted(before)[:2])
    os.sched_setaffinity(0, two)
    try:
        folder = tmp_path_factory.mktemp("worker")
        server = Server(folder, f"sqlite:///{folder}/worker.db", RATE_LIMITS="off")
        with server:
            os.sched_setaffinity(0, before)
            server.cores = two
            yield server
    finally:
        os.sched_setaffinity(0, before)


def until_each_has_its_core(server, but=0):
    expected = sorted([[core] for core in server.cores] * (2 // len(server.cores)))
    deadline = time.monotonic() + 10
    while sorted(list(os.sched_getaffinity(pid)) for pid in server.workers() - {but}) != expected:
        assert time.monotonic() < deadline, "workers share a core"
        time.sleep(0.05)


@on_linux
def test_workers_have_cores_of_their_own_also_after_one_has_died(server):
    until_each_has_its_core(server)
    for victim in server.workers():
        psutil.Process(victim).kill()
        until_each_has_its_core(server, but=victim)


@on_linux
def test_a_connection_that_asks_again_at_once_stays_with_its_thread(server):
    """gunicorn's own main thread would be woken twice for each request."""
    mains = server.workers()

    def wakings():
        listed = [Path(f"/proc/{pid}/task/{pid}/status").read_text() for pid in mains]
        return sum(
            int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in listed
        )

    def woken(requests):
        before = wakings()
        for _ in range(requests):
            assert api.call("GET", "/healthz").status == 200
        return wakings() - before

    with ApiConnection(server) as api:  # which on a busy machine does not always ask at once
        assert min(woken(60) for _ in range(5)) < 60
