"""Concurrent calls to a real server."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import bcrypt
from sqlalchemy import func, select, update

from pycoder.accounts import administration
from pycoder.extensions import db
from pycoder.mail import links
from pycoder.mail.links import Purpose
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.callers import Tokens
from tests.support.connections import Answer, ApiConnection
from tests.support.constants import PASSWORD, SOAK
from tests.support.tokens import claims_of

ROUNDS = 20 * SOAK
CROWD = 50
KEY = "0123456789abcdef"
NEW_PASSWORD = "quite another pass phrase"


class Person(NamedTuple):
    email: str
    tokens: Tokens


class Api:
    """The API of a server, with a new connection for each call."""

    def __init__(self, server):
        self.server, self.numbers = server, itertools.count(1)

    def call(self, method, path, body=None, access=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        with ApiConnection(self.server) as api:
            return api.call(method, f"/api/{path}", body, access, **headers)

    def register(self):
        """Register a new user."""
        email = f"person{next(self.numbers)}@example.com"
        answer = self.call("POST", "register/", {"email": email, "password": PASSWORD})
        assert answer.status == 201, answer.text
        return Person(email, tokens_of(answer))

    def try_login(self, email, password=PASSWORD):
        return self.call("POST", "login/", {"email": email, "password": password})

    def login(self, email, password=PASSWORD):
        answer = self.try_login(email, password)
        assert answer.status == 200, answer.text
        return tokens_of(answer)

    def refresh(self, token, key=None):
        return self.call("POST", "token/refresh/", {"refresh": token}, key=key)

    def user(self, access):
        return self.call("GET", "user/", access=access)

    def revoke(self, token):
        return self.call("POST", "token/revoke/", {"token": token})

    def logout(self, access=None, refresh=None):
        return self.call("POST", "logout/", {"refresh": refresh} if refresh else None, access)

    def end_others(self, access):
        return self.call("DELETE", "sessions/", access=access)


def tokens_of(answer):
    body = answer.json
    return Tokens(**body.get("tokens", body))


def outcome(answer):
    """Return the status of a success, or the code of a problem."""
    return answer.json["code"] if answer.status >= 400 else answer.status


def at_once(calls):
    """Make all calls at the same time; return the responses in their order."""
    start = threading.Barrier(len(calls))

    def wait_and(call):
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and, calls))


def of(email):
    """Return the condition that a session belongs to this user."""
    return Session.user_id == select(User.id).where(User.email == email).scalar_subquery()


def live_sessions_of(email):
    return select(func.count(Session.id)).where(of(email), Session.revoked_at.is_(None))


# --- a session in full use, and what ends it


class Ending(NamedTuple):
    """The arguments of an ending: the session to end, and another one of the same user."""

    api: Api
    operator: object
    email: str
    pair: Tokens
    other: Tokens

    def as_operator(self, function, *args):
        with self.operator.app_context():
            function(administration.find_user(self.email), *args)
            return Answer(204, None, "")


def end_by_id(e):
    sid = claims_of(e.pair.access)["sid"]
    return e.api.call("DELETE", f"sessions/{sid}/", access=e.other.access)


def end_by_change(e):
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return e.api.call("POST", "password/change/", body, e.other.access)


def end_by_reset(e):
    with e.operator.app_context():
        secret = links.issue(administration.find_user(e.email).id, Purpose.RESET)
        db.session.commit()
    body = {"token": secret, "new_password": NEW_PASSWORD}
    return e.api.call("POST", "password/reset/confirm/", body)


ENDINGS = {
    "logout by access": lambda e: e.api.logout(access=e.pair.access),
    "logout by refresh": lambda e: e.api.logout(refresh=e.pair.refresh),
    "logout by both": lambda e: e.api.logout(*e.pair),
    "token/revoke": lambda e: e.api.revoke(e.pair.refresh),
    "revoke one": end_by_id,
    "revoke all others": lambda e: e.api.end_others(e.other.access),
    "set-password": lambda e: e.as_operator(administration.set_password, NEW_PASSWORD),
    "password/change": end_by_change,
    "password/reset": end_by_reset,
    "deactivate": lambda e: e.as_operator(administration.set_active, False),
    "delete": lambda e: e.as_operator(administration.delete_user),
    "delete by its owner": lambda e: e.api.call(
        "DELETE", "user/", {"password": PASSWORD}, e.other.access
    ),
}
DELETES = ("delete", "delete by its owner")
ENDS_THE_OTHER = ("set-password", "password/change", "password/reset", "deactivate", *DELETES)
BEGINS_ANOTHER = ("password/change", *DELETES)  # the latter by a registration


class Use:
    """A session in use from several threads: one refreshes in a chain, others read."""

    def __init__(self, api, pair):
        self.api, self.issued, self.log = api, [pair], []
        self.acknowledged = threading.Event()

    def _note(self, call, token):
        """Make a call; note when it started and its outcome."""
        started = time.monotonic()
        answer = call(token)
        self.log.append((started, outcome(answer)))
        return answer

    def _keep(self, use):
        left = 3  # calls that start after the acknowledgement
        while left:
            left -= self.acknowledged.is_set()
            use()

    def refresh(self):
        answer = self._note(self.api.refresh, self.issued[-1].refresh)
        if answer.status == 200:
            self.issued.append(tokens_of(answer))

    def read(self):
        self._note(self.api.user, self.issued[-1].access)

    def until(self, end, *, refreshes):
        """Use the session and ``end`` it after so many refreshes.

        Returns the outcomes of the calls that started after the end was acknowledged.
        """
        with ThreadPoolExecutor(4) as pool:
            users = [pool.submit(self._keep, use) for use in (self.refresh, self.read, self.read)]
            try:
                deadline = time.monotonic() + 30
                while len(self.issued) <= refreshes and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert end().status in (200, 204)
                at = time.monotonic()
            finally:
                self.acknowledged.set()
            for user in users:
                user.result()
        return [what for started, what in self.log if started > at]


# --- logins beside what forbids them


class Login(NamedTuple):
    started: float
    answered: float
    answer: Answer


def timed(call):
    started = time.monotonic()
    answer = call()
    return Login(started, time.monotonic(), answer)


def keep_logging_in(api, email, password, acknowledged):
    """Log in repeatedly, and three more times after the acknowledgement."""
    logins, left = [], 3
    while left:
        left -= acknowledged.is_set()
        logins.append(timed(partial(api.try_login, email, password)))
    return logins


def logins_around(api, email, change, *, wanted):
    """Log in with the old and the new password from several threads during ``change``."""
    acknowledged = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        olds, news = (
            [
                pool.submit(keep_logging_in, api, email, password, acknowledged)
                for _ in range(threads)
            ]
            for password, threads in ((PASSWORD, 5), (NEW_PASSWORD, 2))
        )
        try:
            deadline = time.monotonic() + 30
            while not wanted() and time.monotonic() < deadline:
                time.sleep(0.001)
            change()
            at = time.monotonic()
        finally:
            acknowledged.set()
    return at, *([one for future in some for one in future.result()] for some in (olds, news))


def old_hash():
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def store_hash(operator, email, hashed):
    with operator.app_context():
        db.session.execute(update(User).where(User.email == email).values(password_hash=hashed))
        db.session.commit()
