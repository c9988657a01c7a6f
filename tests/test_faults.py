"""Databases that freeze, stop, fill up or let nobody in, under a running server with a load on it.

Each client of the load waits for one answer at a time, and there are fewer of them than a single
worker has threads: no request stands in a queue, and its time is the server's own.
"""

import contextlib
import itertools
import os
import re
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg
import pytest

from tests.callers import Answer, Line, Server, Tokens

pytestmark = pytest.mark.untraced  # the server is another process

SOAK = int(os.environ.get("SOAK", "1"))
IN_TIME = 3.5  # the contract's three seconds, and some for a busy machine
BACK_WITHIN = 5
CLIENTS = 3
PATIENCE = 2  # seconds after which the server gives up on its database
WORDS_OF_THE_INSIDE = ("sql", "psycopg", "postgres", "select", "connection", "locked", "disk")
LIMITS = ";".join(
    f"{name}=1000000/minute"
    for name in ("login.account", "login.ip", "register.ip", "refresh.session")
)


class Told(NamedTuple):
    """One call of one client: what it was told, and when."""

    client: int
    call: str
    sent: float
    answered: float
    answer: Answer

    @property
    def worked(self):
        return self.answer.status in (200, 204)

    @property
    def took(self):
        return self.answered - self.sent


class Load:
    """People who sign in, look, refresh, look and sign out, for as long as it is entered.

    Told 503 they repeat the call, a refresh with the same Idempotency-Key; whoever is told
    anything else that is not a success goes home.
    """

    def __init__(self, server):
        self.server, self.told, self.over = server, [], threading.Event()
        self.pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self):
        with Line(self.server) as line:
            for n in range(CLIENTS):
                assert line.register(f"load{n}@example.com").status in (201, 400)
        self.clients = [self.pool.submit(self._live, n) for n in range(CLIENTS)]
        self.until_all_succeed()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.pool.shutdown()
        for client in self.clients:
            client.result()

    def _live(self, n):
        keys = (f"key-of-refresh-{n}-{i}" for i in itertools.count())
        with Line(self.server) as line:
            while not self.over.is_set():
                answer = self._insist(n, "login", partial(line.login, f"load{n}@example.com"))
                tokens = Tokens(**answer.json["tokens"]) if answer else None
                for call in ("user", "refresh", "user", "logout"):
                    if tokens is None:
                        return
                    what = tokens.refresh if call == "refresh" else tokens.access
                    key = [next(keys)] if call == "refresh" else []
                    answer = self._insist(n, call, partial(getattr(line, call), what, *key))
                    if call == "refresh" or answer is None:
                        tokens = Tokens(**answer.json) if answer else None

    def _insist(self, n, call, ask):
        """Repeat a call until it works; None if it never does."""
        while True:
            sent = time.monotonic()
            told = Told(n, call, sent, answer=ask(), answered=time.monotonic())
            self.told.append(told)
            if told.worked:
                return told.answer
            if told.answer.status != 503 or self.over.is_set():
                return None
            time.sleep(0.05)

    def until_all_succeed(self):
        """Wait until every client was answered well; return how long that took."""
        since, well = time.monotonic(), set()
        while len(well) < CLIENTS:
            assert time.monotonic() < since + 15, [t.answer for t in self.told[-5:]]
            time.sleep(0.02)
            well = {t.client for t in list(self.told) if t.worked and t.sent > since}
        firsts = [t.answered for t in list(self.told) if t.worked and t.answered > since]
        return min(firsts) - since


def is_away(answer):
    """Tell whether the answer says that the database is away, and nothing else of it."""
    assert answer.status == 503, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert not [word for word in WORDS_OF_THE_INSIDE if word in answer.text.lower()]
    return True


def every_answer_was_honest(load):
    """Tell whether every call, in good times and bad, worked or was told 503 in time.

    A login that the fault caught had its password hashed first, which gives way to all else that
    the machine does: it may take so much longer as logins took in good times.
    """
    assert {t.call for t in load.told if t.worked} == {"login", "user", "refresh", "logout"}
    for told in load.told:
        assert told.worked or is_away(told.answer), told
        assert told.took < IN_TIME + (load.hashing if told.call == "login" else 0), told
    return True


def endure(server, load, fault, seconds, *calls, ready, user):
    """Go through a fault under load: these calls are told 503, and the server recovers by itself.

    ``ready`` is what /readyz says meanwhile, and ``user`` what somebody is told who only looks.
    """
    workers, access = server.workers(), witness(server)
    probes = itertools.cycle([("/api/user/", user), ("/readyz", ready)])
    with fault, Line(server) as line:
        away = time.monotonic()
        while time.monotonic() < away + seconds * SOAK:
            assert line.call("GET", "/healthz").status == 200
            path, expected = next(probes)
            answer = line.call("GET", path, access=access)
            assert answer.status == expected
            assert answer.status == 200 or is_away(answer)
            time.sleep(0.1)
        nearly_back = time.monotonic()
    back = time.monotonic()
    recovered = load.until_all_succeed()
    logins = [t for t in load.told if t.call == "login" and t.worked]
    load.hashing = max(t.took for t in logins if t.answered < away or t.sent > back)
    meanwhile = [t for t in load.told if away < t.answered < nearly_back]
    assert {t.client for t in meanwhile if not t.worked} == set(range(CLIENTS))
    asked_meanwhile = [t for t in meanwhile if t.sent > away and t.call in (calls or t.call)]
    assert all(is_away(t.answer) for t in asked_meanwhile)
    assert recovered < BACK_WITHIN
    assert server.workers() == workers


def witness(server):
    """Return an access token that every worker has seen, and might be tempted to remember."""
    with Line(server) as line:
        access = line.login("load0@example.com").json["tokens"]["access"]
    for _ in range(20):
        with Line(server) as line:
            assert line.user(access).status == 200
    return access


# PostgreSQL


@pytest.fixture(scope="module")
def cluster(frail_postgres):
    """A PostgreSQL server of our own, with few connection slots."""
    with psycopg.connect(frail_postgres.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_connections = 40")
        connection.execute("CREATE DATABASE pycoder")
    with stopped(frail_postgres):
        pass
    return frail_postgres


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with Server(folder, cluster.get_uri("pycoder"), RATE_LIMITS=LIMITS) as running:
        yield running


@contextlib.contextmanager
def frozen(cluster):
    """Hold every process of PostgreSQL, as a storage or a virtual machine does that hangs."""
    postmaster = psutil.Process(cluster.get_pid())
    held = [postmaster]
    postmaster.suspend()  # first, so that it starts no more
    try:
        for child in postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()
                held.append(child)
        yield
    finally:
        for process in reversed(held):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.contextmanager
def stopped(cluster):
    """Shut PostgreSQL down as an operator does, and start it again."""
    postmaster = psutil.Process(cluster.get_pid())
    postmaster.send_signal(signal.SIGINT)  # "fast": whoever is connected is cut off
    postmaster.wait(20)
    try:
        yield
    finally:
        cluster.ensure_postgres_running()


@contextlib.contextmanager
def locked_table(cluster):
    """Hold a table, as a careless migration does."""
    with psycopg.connect(cluster.get_uri("pycoder")) as connection:
        connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@contextlib.contextmanager
def no_slots(cluster):
    """Take every connection that PostgreSQL allows, also those that the server had."""
    with contextlib.ExitStack() as ours:
        first = ours.enter_context(psycopg.connect(cluster.get_uri(), autocommit=True))
        end_theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        free = True
        while free:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    ours.enter_context(psycopg.connect(cluster.get_uri()))
            time.sleep(0.2)  # a connection that is being made is listed only later
            free = first.execute(end_theirs, ["pycoder"]).fetchall()
        yield


@pytest.mark.parametrize(("fault", "seconds"), [(frozen, 2.2 * PATIENCE), (stopped, 1.5)])
def test_postgresql_that_is_away_is_a_503_in_time_and_forgotten_once_it_is_back(
    fault, seconds, cluster, server
):
    with Load(server) as load:
        endure(server, load, fault(cluster), seconds, ready=503, user=503)
    assert every_answer_was_honest(load)


def test_a_locked_table_is_a_503_in_time_and_nobody_stands_in_line_for_those_who_left(
    cluster, server
):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    in_line = []

    @contextlib.contextmanager
    def locked():
        with locked_table(cluster):
            yield
            with psycopg.connect(cluster.get_uri()) as connection:
                in_line.append(connection.execute(waiting).fetchone()[0])

    with Load(server) as load:
        endure(server, load, locked(), 3.2 * PATIENCE, ready=200, user=503)
    assert every_answer_was_honest(load)
    assert in_line[0] <= 2 * CLIENTS  # those who wait, and those who leave at this moment


def test_connection_slots_that_others_took_are_a_503_until_they_give_them_back(cluster, server):
    with Load(server) as load:
        endure(server, load, no_slots(cluster), 1.5, ready=503, user=503)
    assert every_answer_was_honest(load)


# SQLite


def dump(path):
    """Return all that a SQLite database holds, as text, but for what the sender of mails works on.

    It goes on for a moment after the answer, and what it sends is true whatever comes.
    """
    tables = r"leases|outbox|one_time_tokens|sqlite_sequence\" VALUES\('outbox"
    counted = r"rate_limits\" VALUES\('LIMITER/reset.account/(verify|notice)/"  # mails, by address
    sender = re.compile(rf'INSERT INTO "({tables}|{counted})|CREATE TABLE|COMMIT')
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if not sender.match(line)]


@contextlib.contextmanager
def locked_file(path):
    """Be another process that writes, and takes its time; whatever others do changes nothing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN EXCLUSIVE")
        before = dump(path)
        yield
        assert dump(path) == before
        connection.execute("ROLLBACK")


def test_sqlite_that_another_process_writes_to_is_a_503_in_time_to_those_who_write(tmp_path):
    path, calls = tmp_path / "pycoder.db", ("login", "refresh", "logout")
    with Server(tmp_path, f"sqlite:///{path}", RATE_LIMITS=LIMITS) as server:
        with Load(server) as load:
            fault = locked_file(path)
            endure(server, load, fault, 2.2 * PATIENCE, *calls, ready=200, user=200)
        assert every_answer_was_honest(load)


class Tmpfs:
    """A disk of four megabytes, filled by somebody else's file."""

    def __init__(self, folder):
        self.folder = folder / "disk"
        self.folder.mkdir()

    def __enter__(self):
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(self.folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a disk; Quota tries the same without")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextlib.contextmanager
    def full(self, server, room=0):
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - room)
        yield
        filler.unlink()


class Quota:
    """A limit on the size of files: the one that a user without privileges can set."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    @contextlib.contextmanager
    def full(self, server, room=0):
        size = (self.folder / "pycoder.db-wal").stat().st_size + room
        self.allow(server, size)
        yield
        self.allow(server, resource.RLIM_INFINITY)

    def allow(self, server, size):
        for worker in server.workers() if server.process.poll() is None else ():
            limits = (size, resource.RLIM_INFINITY)
            psutil.Process(worker).rlimit(psutil.RLIMIT_FSIZE, limits)


@pytest.fixture
def disk(request, tmp_path):
    with request.param(tmp_path) as disk:
        yield disk


class Guest(NamedTuple):
    email: str
    tokens: Any


def arrive(line, email):
    answer = line.register(email)
    assert answer.status == 201, answer
    return Guest(email, Tokens(**answer.json["tokens"]))


@pytest.mark.parametrize("disk", [Tmpfs, Quota], indirect=True)
def test_a_full_disk_is_a_503_to_those_who_write_and_nothing_is_half_written(disk, tmp_path):
    folder = Path(disk.folder)
    url = f"sqlite:///{folder}/pycoder.db"
    newcomers = [f"new{n}@example.com" for n in range(6)]
    with Server(tmp_path, url, RATE_LIMITS=LIMITS) as server, Line(server) as line:
        gone, *guests = [arrive(line, f"guest{n}@example.com") for n in range(7)]
        refreshing, leaving = guests[:3], guests[3:]
        assert line.logout(gone.tokens.access).status == 204
        before = dump(folder / "pycoder.db")
        with disk.full(server):
            refused = [line.register(email) for email in newcomers]
            refused += [line.login(guest.email) for guest in guests]
            refused += [line.refresh(guest.tokens.refresh) for guest in refreshing]
            refused += [line.logout(guest.tokens.access) for guest in leaving]
            assert all(is_away(answer) for answer in refused)
            assert line.user(gone.tokens.access).status == 401
            assert {line.user(guest.tokens.access).status for guest in guests} == {200}
            assert line.call("GET", "/healthz").status == 200
            assert dump(folder / "pycoder.db") == before
        for email in newcomers:
            arrive(line, email)
        for guest in refreshing:
            assert line.refresh(guest.tokens.refresh).status == 200
        assert {line.logout(guest.tokens.access).status for guest in leaving} == {204}
        assert {line.user(guest.tokens.access).status for guest in leaving} == {401}


@pytest.mark.parametrize("disk", [Quota], indirect=True)
def test_what_was_acknowledged_while_the_disk_filled_up_is_for_good(disk, tmp_path):
    left, joined = {}, {}

    def leave_and_join(server, guests):
        with Line(server) as line:
            for guest in guests:
                left[guest] = line.logout(guest.tokens.access)
                joined[f"new-{guest.email}"] = line.register(f"new-{guest.email}")

    with Server(tmp_path, f"sqlite:///{disk.folder}/pycoder.db", RATE_LIMITS=LIMITS) as server:
        with Line(server) as line:
            guests = [arrive(line, f"guest{n}@example.com") for n in range(20)]
        with disk.full(server, room=400_000), ThreadPoolExecutor(2) as pool:
            halves = [pool.submit(leave_and_join, server, guests[n::2]) for n in range(2)]
            for half in halves:
                half.result()
            server.kill()
        server.start()
        assert {answer.status for answer in left.values()} == {204, 503}
        assert {answer.status for answer in joined.values()} == {201, 503}
        with Line(server) as line:
            for guest, answer in left.items():
                refreshed = line.refresh(guest.tokens.refresh).status
                assert line.user(guest.tokens.access).status == refreshed
                assert refreshed == 401 if answer.status == 204 else is_away(answer)
            for email, answer in joined.items():
                assert line.login(email).status == (200 if answer.status == 201 else 400)
                assert answer.status == 201 or (is_away(answer) and arrive(line, email))
