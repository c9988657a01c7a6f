"""Clients that keep a journal of what they asked for and what they were told.

The server is held to every word of it after a crash.
"""

import contextlib
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.support.callers import Tokens
from tests.support.connections import Line

CLIENTS = 4
chance = random.SystemRandom()
emails = (f"person{n}@example.com" for n in itertools.count())


@dataclass(eq=False)
class Session:
    """A session as its client remembers it: what it was told, and what it has asked since."""

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

    def call(self, line, what):
        self.asked = what
        if what == "register":
            self.told(line.register(self.email), 201)
        elif what == "refresh":
            self.key = f"key{chance.getrandbits(64):016x}"
            self.told(line.refresh(self.tokens.refresh, self.key), 200)
        else:
            self.told(line.logout(self.tokens.access), 204)


class Client:
    """Somebody with one session for good, and others that come and go."""

    connect = Line

    def __init__(self, server):
        self.journal, self.unanswered = [Session()], []
        with self.connect(server) as line:
            self.journal[0].call(line, "register")
        self.touched = [self.journal[0]]

    def live(self, server, over, pause):
        """Register, refresh and log out, until it is over or nobody listens any more."""
        with self.connect(server) as line:
            while not over.wait(pause):
                session, what = self._choose()
                self.touched.append(session)
                try:
                    session.call(line, what)
                except ConnectionRefusedError:
                    return
                except Line.NO_ANSWER:
                    self.unanswered.append(what)

    def _choose(self):
        """Return a session of which everything is known, or a new one, and what to do."""
        known = [session for session in self.journal if not session.asked and not session.over]
        if not known or chance.random() < 0.2:
            self.journal.append(Session())
            return self.journal[-1], "register"
        session = chance.choice(known)
        lasts = session is self.journal[0]
        return session, "refresh" if lasts or chance.random() < 0.7 else "logout"


@contextlib.contextmanager
def busy(server, clients, pause=0):
    """Have all clients live at once, with so many seconds between their calls."""
    over = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        lives = [pool.submit(client.live, server, over, pause) for client in clients]
        try:
            yield
        finally:
            over.set()
        for life in lives:
            life.result()


def resolve(line, session):
    """Ask again for what had no answer: it was done or it was not, and never by half."""
    asked = session.asked
    if asked == "register":
        known, again = line.login(session.email), line.register(session.email)
        assert (known.status, again.status) in {(200, 400), (400, 201)}, (known, again)
        created = again.status == 201
        session.told(again if created else known, 201 if created else 200)
    elif asked == "refresh":
        session.told(line.refresh(session.tokens.refresh, session.key), 200)
    elif asked == "logout":
        refreshed = line.refresh(session.tokens.refresh)
        assert line.user(session.tokens.access).status == refreshed.status
        session.over = refreshed.status == 401
        if not session.over:
            session.asked = "refresh"
            session.told(refreshed, 200)
    session.asked = ""


def assert_undone(line, session):
    """Hold a server that was told to stop to it: what it did not answer, it has not done."""
    asked = session.asked
    if asked == "register":
        assert line.login(session.email).status == 400
        session.call(line, "register")
    elif asked == "refresh":
        session.call(line, "refresh")  # with another key: a second use would be told 401
    elif asked == "logout":
        assert line.user(session.tokens.access).status == 200
        session.asked = ""


def assert_kept(line, session):
    """Hold the server to what it acknowledged."""
    tokens = [*session.rotated[-3:], session.tokens.refresh]
    live = [token for token in tokens if line.verify(token).status == 200]
    user = line.user(session.tokens.access)
    if session.over:
        assert live == []
        assert (user.status, user.json["code"]) == (401, "token_revoked")
        assert line.refresh(session.tokens.refresh).status == 401
        assert line.login(session.email).status == 200
    else:
        assert live == [session.tokens.refresh]
        assert user.status == 200
        assert user.json["email"] == session.email
        session.call(line, "refresh")
        assert line.verify(live[0]).status == 401
        assert line.verify(session.tokens.refresh).status == 200


def everybody(server, clients, do):
    """Have all clients talk to the server at once, each on a connection of its own."""

    def talk(client):
        with Line(server) as line:
            do(line, client)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(talk, clients))


def settle(server, clients, unanswered):
    """Compare what the server says with the journals of what was done since the last time."""

    def compare(line, client):
        for session in dict.fromkeys(client.touched):
            unanswered(line, session)
            assert_kept(line, session)
        client.touched = [client.journal[0]]

    everybody(server, clients, compare)


def ask_again(line, client):
    """Clear up what had no answer; a client then goes on, and notices if anything else is lost."""
    for session in client.touched:
        resolve(line, session)
