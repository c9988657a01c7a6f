"""SQLite that another process locks, and a full disk, under load."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.callers import Tokens
from tests.support.connections import ApiConnection
from tests.support.faults import Quota, Tmpfs, dump, locked_file
from tests.support.load import (
    LIMITS,
    PATIENCE,
    Load,
    every_response_was_in_time,
    go_through_fault,
    is_database_unavailable,
)
from tests.support.ports import free_port
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process


def test_sqlite_that_another_process_writes_to_is_a_503_in_time_to_those_who_write(tmp_path):
    path, calls = tmp_path / "pycoder.db", ("login", "refresh", "logout")
    with Server(tmp_path, f"sqlite:///{path}", RATE_LIMITS=LIMITS) as server:
        with Load(server) as load:
            fault = locked_file(path)
            go_through_fault(server, load, fault, 2.2 * PATIENCE, *calls, ready=200, user=200)
        assert every_response_was_in_time(load)


@pytest.fixture
def disk(request, tmp_path):
    with request.param(tmp_path) as disk:
        yield disk


class Guest(NamedTuple):
    email: str
    tokens: Any


def arrive(api, email):
    answer = api.register(email)
    assert answer.status == 201, answer
    return Guest(email, Tokens(**answer.json["tokens"]))


def accounts_in(path):
    """Dump a database without the counters of attempts, one of which may still have had room."""
    return [row for row in dump(path) if "rate_limits" not in row]


def truncate_log(folder):
    """Wait until the mails are sent, and truncate SQLite's log, which would have room."""
    with closing(sqlite3.connect(folder / "pycoder.db", isolation_level=None)) as database:
        for _ in range(200):
            waiting = database.execute("SELECT count(*) FROM outbox").fetchone()[0]
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not (waiting or busy):
                return
            time.sleep(0.05)
    raise AssertionError("mails were not sent")


@pytest.mark.parametrize("disk", [Tmpfs, Quota], indirect=True)
def test_a_full_disk_is_a_503_to_those_who_write_and_nothing_is_half_written(disk, tmp_path):
    folder = Path(disk.folder)
    url = f"sqlite:///{folder}/pycoder.db"
    newcomers = [f"new{n}@example.com" for n in range(6)]
    with Server(tmp_path, url, RATE_LIMITS=LIMITS) as server, ApiConnection(server) as api:
        gone, *guests = [arrive(api, f"guest{n}@example.com") for n in range(7)]
        refreshing, leaving = guests[:3], guests[3:]
        assert api.logout(gone.tokens.access).status == 204
        truncate_log(folder)
        before = accounts_in(folder / "pycoder.db")
        with disk.full(server):
            refused = [api.register(email) for email in newcomers]
            refused += [api.login(guest.email) for guest in guests]
            refused += [api.refresh(guest.tokens.refresh) for guest in refreshing]
            refused += [api.logout(guest.tokens.access) for guest in leaving]
            assert all(is_database_unavailable(answer) for answer in refused)
            assert api.user(gone.tokens.access).status == 401
            assert {api.user(guest.tokens.access).status for guest in guests} == {200}
            assert api.call("GET", "/healthz").status == 200
            assert accounts_in(folder / "pycoder.db") == before
        for email in newcomers:
            arrive(api, email)
        for guest in refreshing:
            assert api.refresh(guest.tokens.refresh).status == 200
        assert {api.logout(guest.tokens.access).status for guest in leaving} == {204}
        assert {api.user(guest.tokens.access).status for guest in leaving} == {401}


@pytest.mark.parametrize("disk", [Quota], indirect=True)
def test_what_was_acknowledged_while_the_disk_filled_up_is_for_good(disk, tmp_path):
    left, joined = {}, {}

    def leave_and_join(server, guests):
        with ApiConnection(server) as api:
            for guest in guests:
                left[guest] = api.logout(guest.tokens.access)
                joined[f"new-{guest.email}"] = api.register(f"new-{guest.email}")

    # No mail is sent, because SQLite's log is truncated after it, which makes room.
    settings = {"RATE_LIMITS": LIMITS, "MAIL_URL": f"smtp://127.0.0.1:{free_port()}"}
    with Server(tmp_path, f"sqlite:///{disk.folder}/pycoder.db", **settings) as server:
        with ApiConnection(server) as api:
            guests = [arrive(api, f"guest{n}@example.com") for n in range(20)]
        with disk.full(server, room=400_000), ThreadPoolExecutor(2) as pool:
            halves = [pool.submit(leave_and_join, server, guests[n::2]) for n in range(2)]
            for half in halves:
                half.result()
            server.kill()
        server.start()
        assert {answer.status for answer in left.values()} == {204, 503}
        assert {answer.status for answer in joined.values()} == {201, 503}
        with ApiConnection(server) as api:
            for guest, answer in left.items():
                refreshed = api.refresh(guest.tokens.refresh).status
                assert api.user(guest.tokens.access).status == refreshed
                assert refreshed == 401 if answer.status == 204 else is_database_unavailable(answer)
            for email, answer in joined.items():
                assert api.login(email).status == (200 if answer.status == 201 else 400)
                assert answer.status == 201 or (
                    is_database_unavailable(answer) and arrive(api, email)
                )
