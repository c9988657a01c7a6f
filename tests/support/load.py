"""Clients that load a server while its database has a fault.

Each client waits for one response at a time, and there are fewer clients than a single worker has
threads. No request waits in a queue, so its time is the server's own.
"""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from tests.support.callers import Tokens
from tests.support.connections import Answer, ApiConnection
from tests.support.constants import SOAK

DEADLINE = 10  # seconds; the service promises three, and a busy machine gets more
CLIENTS = 3
PATIENCE = 2  # seconds after which the server gives up on its database
INTERNAL_WORDS = ("sql", "psycopg", "postgres", "select", "connection", "locked", "disk")
LIMITS = ";".join(
    f"{name}=1000000/minute"
    for name in ("login.account", "login.ip", "register.ip", "refresh.session")
)


class Call(NamedTuple):
    """One call of one client: its response, and when."""

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
    """Clients that log in, get the user, refresh, get the user and log out, in a loop.

    A call that is answered 503 is repeated, a refresh with the same Idempotency-Key. After any
    other failure the client ends.
    """

    def __init__(self, server):
        self.server, self.told, self.over = server, [], threading.Event()
        self.pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self):
        with ApiConnection(self.server) as api:
            for n in range(CLIENTS):
                assert api.register(f"load{n}@example.com").status in (201, 400)
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
        with ApiConnection(self.server) as api:
            while not self.over.is_set():
                answer = self._insist(n, "login", partial(api.login, f"load{n}@example.com"))
                tokens = Tokens(**answer.json["tokens"]) if answer else None
                for call in ("user", "refresh", "user", "logout"):
                    if tokens is None:
                        return
                    what = tokens.refresh if call == "refresh" else tokens.access
                    key = [next(keys)] if call == "refresh" else []
                    answer = self._insist(n, call, partial(getattr(api, call), what, *key))
                    if call == "refresh" or answer is None:
                        tokens = Tokens(**answer.json) if answer else None

    def _insist(self, n, call, ask):
        """Repeat a call until it succeeds; return None if it never does."""
        while True:
            sent = time.monotonic()
            told = Call(n, call, sent, answer=ask(), answered=time.monotonic())
            self.told.append(told)
            if told.worked:
                return told.answer
            if told.answer.status != 503 or self.over.is_set():
                return None
            time.sleep(0.05)

    def until_all_succeed(self):
        """Wait until a new call of every client has succeeded."""
        since, well = time.monotonic(), set()
        while len(well) < CLIENTS:
            assert time.monotonic() < since + 15, [t.answer for t in self.told[-5:]]
            time.sleep(0.02)
            well = {t.client for t in list(self.told) if t.worked and t.sent > since}


def is_database_unavailable(answer):
    """Assert that a response says only that the database is unavailable; return True."""
    assert answer.status == 503, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert not [word for word in INTERNAL_WORDS if word in answer.text.lower()]
    return True


def every_response_was_in_time(load):
    """Assert that every call worked or was answered 503 before the deadline; return True."""
    assert {t.call for t in load.told if t.worked} == {"login", "user", "refresh", "logout"}
    for told in load.told:
        assert told.worked or is_database_unavailable(told.answer), told
        assert told.took < DEADLINE, told
    return True


def go_through_fault(server, load, fault, seconds, *calls, ready, user):
    """Go through a fault under load, and assert that the server recovers by itself.

    Meanwhile ``calls`` (all, if none is named) are answered 503. ``ready`` is the status of
    /readyz, and ``user`` that of a GET of the user.
    """
    workers, access = server.workers(), access_token_known_to_all(server)
    probes = itertools.cycle([("/api/user/", user), ("/readyz", ready)])
    with fault, ApiConnection(server) as api:
        away = time.monotonic()
        while time.monotonic() < away + seconds * SOAK:
            assert api.call("GET", "/healthz").status == 200
            path, expected = next(probes)
            answer = api.call("GET", path, access=access)
            assert answer.status == expected
            assert answer.status == 200 or is_database_unavailable(answer)
            time.sleep(0.1)
        nearly_back = time.monotonic()
    load.until_all_succeed()
    meanwhile = [t for t in load.told if away < t.answered < nearly_back]
    assert {t.client for t in meanwhile if not t.worked} == set(range(CLIENTS))
    asked_meanwhile = [t for t in meanwhile if t.sent > away and t.call in (calls or t.call)]
    assert all(is_database_unavailable(t.answer) for t in asked_meanwhile)
    assert server.workers() == workers


def access_token_known_to_all(server):
    """Return an access token that every worker has verified, and might have cached."""
    with ApiConnection(server) as api:
        access = api.login("load0@example.com").json["tokens"]["access"]
    for _ in range(20):
        with ApiConnection(server) as api:
            assert api.user(access).status == 200
    return access
