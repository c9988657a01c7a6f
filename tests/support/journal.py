"""Clients that keep a journal of what they asked for and what they were told.

After a crash, the tests compare the server with the journals.
"""

import contextlib
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.support.callers import Tokens
from tests.support.connections import ApiConnection

CLIENTS = 4
chance = random.SystemRandom()
emails = (f"person{n}@example.com" for n in itertools.count())


@dataclass(eq=False)
class Session:
    """A session in the journal of its client: its tokens, and the call without a response."""

    email: str = field(default_factory=lambda: next(emails))
    tokens: Tokens | None = None
    rotated: list = field(default_factory=list)  # refresh tokens that it had before
    asked: str = "register"  # the call without an answer, if any
    key: str = ""
    over: bool = False  # acknowledged

    def told(self, answer, expected):
        assert answer.status == expected, (self.asked, answer)
        if self.asked == "refresh":
            self.rotated.append(self.tokens.refresh)
            self.tokens = Tokens(**answer.json)
        elif self.asked == "register":
            self.tokens = Tokens(**answer.json["tokens"])
        self.over = self.asked == "logout"
        self.asked = ""

    def call(self, api, what):
        self.asked = what
        if what == "register":
            self.told(api.register(self.email), 201)
        elif what == "refresh":
            self.key = f"key{chance.getrandbits(64):016x}"
            self.told(api.refresh(self.tokens.refresh, self.key), 200)
        else:
            self.told(api.logout(self.tokens.access), 204)


class Client:
    """A client with one lasting session, and others that it opens and ends."""

    connect = ApiConnection

    def __init__(self, server):
        self.journal, self.unanswered = [Session()], []
        with self.connect(server) as api:
            self.journal[0].call(api, "register")
        self.touched = [self.journal[0]]

    def live(self, server, over, pause):
        """Register, refresh and log out until ``over`` is set or the server refuses connections."""
        with self.connect(server) as api:
            while not over.wait(pause):
                session, what = self._choose()
                self.touched.append(session)
                try:
                    session.call(api, what)
                except ConnectionRefusedError:
                    return
                except ApiConnection.NO_ANSWER:
                    self.unanswered.append(what)

    def _choose(self):
        """Return a session without an open call, or a new one, and the next call."""
        known = [session for session in self.journal if not session.asked and not session.over]
        if not known or chance.random() < 0.2:
            self.journal.append(Session())
            return self.journal[-1], "register"
        session = chance.choice(known)
        lasts = session is self.journal[0]
        return session, "refresh" if lasts or chance.random() < 0.7 else "logout"


@contextlib.contextmanager
def busy(server, clients, pause=0):
    """Run all clients at once, with so many seconds between their calls."""
    over = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        lives = [pool.submit(client.live, server, over, pause) for client in clients]
        try:
            yield
        finally:
            over.set()
        for life in lives:
            life.result()


def resolve(api, session):
    """Repeat the call that had no response. It took effect entirely or not at all."""
    asked = session.asked
    if asked == "register":
        known, again = api.login(session.email), api.register(session.email)
        assert (known.status, again.status) in {(200, 400), (400, 201)}, (known, again)
        created = again.status == 201
        session.told(again if created else known, 201 if created else 200)
    elif asked == "refresh":
        session.told(api.refresh(session.tokens.refresh, session.key), 200)
    elif asked == "logout":
        refreshed = api.refresh(session.tokens.refresh)
        assert api.user(session.tokens.access).status == refreshed.status
        session.over = refreshed.status == 401
        if not session.over:
            session.asked = "refresh"
            session.told(refreshed, 200)
    session.asked = ""


def assert_undone(api, session):
    """Assert that a call without a response had no effect, after a clean stop."""
    asked = session.asked
    if asked == "register":
        assert api.login(session.email).status == 400
        session.call(api, "register")
    elif asked == "refresh":
        session.call(api, "refresh")  # with another key: a second use would be told 401
    elif asked == "logout":
        assert api.user(session.tokens.access).status == 200
        session.asked = ""


def assert_kept(api, session):
    """Assert that the server kept what it acknowledged."""
    tokens = [*session.rotated[-3:], session.tokens.refresh]
    live = [token for token in tokens if api.verify(token).status == 200]
    user = api.user(session.tokens.access)
    if session.over:
        assert live == []
        assert (user.status, user.json["code"]) == (401, "token_revoked")
        assert api.refresh(session.tokens.refresh).status == 401
        assert api.login(session.email).status == 200
    else:
        assert live == [session.tokens.refresh]
        assert user.status == 200
        assert user.json["email"] == session.email
        session.call(api, "refresh")
        assert api.verify(live[0]).status == 401
        assert api.verify(session.tokens.refresh).status == 200


def everybody(server, clients, do):
    """Run a function for all clients at once, each with its own connection."""

    def talk(client):
        with ApiConnection(server) as api:
            do(api, client)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(talk, clients))


def settle(server, clients, unanswered):
    """Compare the server with the journals of all calls since the last comparison."""

    def compare(api, client):
        for session in dict.fromkeys(client.touched):
            unanswered(api, session)
            assert_kept(api, session)
        client.touched = [client.journal[0]]

    everybody(server, clients, compare)


def ask_again(api, client):
    """Resolve the calls that had no response, so that the client can go on."""
    for session in client.touched:
        resolve(api, session)
