"""Workers and servers that are killed or told to stop in the middle of their work."""

import contextlib
import os
import signal
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import psycopg
import pytest

from tests.support.clocks import until
from tests.support.connections import ApiConnection
from tests.support.constants import SOAK
from tests.support.journal import (
    CLIENTS,
    Client,
    Session,
    ask_again,
    assert_kept,
    assert_undone,
    busy,
    chance,
    everybody,
    resolve,
    settle,
)
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process
ROUNDS = 20 * SOAK  # on each database
WHOLE = 5  # every fifth round kills the whole server, the others one worker
RESTARTS = 2 * SOAK
WORKERS = 3


@pytest.fixture(scope="module")
def url(new_database):
    return new_database()


@pytest.fixture(scope="module")
def server(url, tmp_path_factory):
    folder, settings = tmp_path_factory.mktemp("crashes"), {"RATE_LIMITS": "off"}
    with Server(folder, url, workers=WORKERS, BCRYPT_ROUNDS=4, **settings) as running:
        yield running


@pytest.fixture
def clients(server):
    return [Client(server) for _ in range(CLIENTS)]


def test_nothing_acknowledged_is_lost_and_nothing_revoked_comes_back(server, clients):
    for n in range(1, ROUNDS + 1):
        with busy(server, clients):
            time.sleep(chance.uniform(0.03, 0.1))
            if n % WHOLE:
                os.kill(chance.choice(sorted(server.workers())), signal.SIGKILL)
                time.sleep(0.03)
            else:
                server.kill()
        if n % WHOLE:
            everybody(server, clients, ask_again)
        else:
            server.start()
            settle(server, clients, resolve)
    unanswered = Counter(what for client in clients for what in client.unanswered)
    assert unanswered.total() >= ROUNDS // WHOLE, "nobody was hit"
    for client in clients:
        client.touched = client.journal
    settle(server, clients, resolve)
    everything = [session for client in clients for session in client.journal]
    assert any(session.over for session in everything)
    assert any(session.rotated for session in everything)


@contextlib.contextmanager
def writes_held(url):
    """Block all writes, and no reads."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
    else:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE sessions IN EXCLUSIVE MODE")
            yield
            connection.rollback()


def accepted(server):
    """Count the connections that the workers have taken."""
    return sum(
        each.laddr.port == server.port and each.status == psutil.CONN_ESTABLISHED
        for worker in server.workers()
        for each in psutil.Process(worker).net_connections("tcp4")
    )


def test_what_is_in_flight_when_the_server_is_told_to_stop_is_answered(server, clients, url):
    calls = ["refresh", "refresh", "logout", "register"]
    sessions = [client.journal[0] for client in clients[:3]] + [Session()]
    until(lambda: accepted(server) == 0)
    log = server.log.read_text()
    with ThreadPoolExecutor(4) as pool, contextlib.ExitStack() as lines:
        with writes_held(url):
            asked = [
                pool.submit(session.call, lines.enter_context(ApiConnection(server)), call)
                for session, call in zip(sessions, calls, strict=True)
            ]
            until(lambda: accepted(server) == len(calls))
            server.process.send_signal(signal.SIGTERM)
            until(lambda: "Handling signal: term" in server.log.read_text()[len(log) :])
            assert not any(one.done() for one in asked)
        for one in asked:
            one.result()  # every call checks what it is told
    code = server.process.wait(40)
    server.start()
    assert code == 0
    with ApiConnection(server) as api:
        for session in sessions:
            assert_kept(api, session)


def test_a_server_told_to_stop_leaves_nothing_done_without_an_answer(server, clients):
    for _ in range(RESTARTS):
        with busy(server, clients, pause=0.03):
            time.sleep(0.4)
            code = server.stop()
        server.start()
        assert code == 0
        settle(server, clients, assert_undone)


def replaced(server, old):
    return len(server.workers() - old) == WORKERS and not server.workers() & old


def test_workers_are_replaced_without_losing_one_answer(server, clients):
    for _ in range(RESTARTS):
        old = server.workers()
        with busy(server, clients, pause=0.03):
            server.process.send_signal(signal.SIGHUP)
            until(partial(replaced, server, old))
        assert [client.unanswered for client in clients] == [[]] * CLIENTS
        settle(server, clients, resolve)
