"""Races, on a real server with three workers: what one answer promised, no other may break."""

import base64
import itertools
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import bcrypt
import pytest
from sqlalchemy import func, select, update

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.mail import links
from pycoder.mail.links import Purpose
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT
from tests.callers import PASSWORD, Answer, Line, Server, Tokens, application

pytestmark = pytest.mark.untraced  # the server is another process

SOAK = int(os.environ.get("SOAK", "1"))
ROUNDS = 20 * SOAK
CROWD = 50
KEY = "0123456789abcdef"
NEW_PASSWORD = "quite another pass phrase"


class Person(NamedTuple):
    email: str
    tokens: Tokens


class Api:
    """The server as many clients see it; a connection for each call."""

    def __init__(self, server):
        self.server, self.numbers = server, itertools.count(1)

    def call(self, method, path, body=None, access=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        with Line(self.server) as line:
            return line.call(method, f"/api/{path}", body, access, **headers)

    def somebody(self):
        """Register a new person."""
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


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("races")
    settings = {"RATE_LIMITS": "off", "BCRYPT_ROUNDS": 4}
    with Server(folder, new_database(), workers=3, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(server):
    return Api(server)


@pytest.fixture(scope="module")
def operator(server, tmp_path_factory):
    """An application of another process than the server's, on the same database."""
    url = server.env["DATABASE_URL"]
    with application(tmp_path_factory.mktemp("operator"), DATABASE_URL=url) as app:
        yield app


@pytest.fixture
def found(operator):
    """Return a function that reads one value from the database as it is now."""

    def read(statement):
        with operator.app_context():
            return db.session.scalar(statement)

    return read


def tokens_of(answer):
    body = answer.json
    return Tokens(**body.get("tokens", body))


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def outcome(answer):
    """Say what an answer means: 200 or 204, or the code of its problem."""
    return answer.json["code"] if answer.status >= 400 else answer.status


def at_once(calls):
    """Make all these calls at the same time; return the answers in their order."""
    start = threading.Barrier(len(calls))

    def wait_and(call):
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and, calls))


def of(email):
    """Return the condition that a session is this person's."""
    return Session.user_id == select(User.id).where(User.email == email).scalar_subquery()


def living(email):
    return select(func.count(Session.id)).where(of(email), Session.revoked_at.is_(None))


# --- fifty refreshes of one token


def test_of_fifty_refreshes_of_one_token_exactly_one_succeeds_and_the_session_is_over(api, found):
    person = api.somebody()
    bystander = api.login(person.email)
    for _ in range(ROUNDS):
        pair = api.login(person.email)
        answers = at_once([partial(api.refresh, pair.refresh)] * CROWD)
        winners = [answer for answer in answers if answer.status == 200]
        assert sorted(map(str, map(outcome, answers))) == ["200"] + ["token_reused"] * (CROWD - 1)
        won = tokens_of(winners[0])
        assert outcome(api.user(pair.access)) == "token_revoked"
        assert outcome(api.user(won.access)) == "token_revoked"
        assert outcome(api.refresh(won.refresh)) == "token_revoked"
        assert outcome(api.refresh(pair.refresh)) == "token_reused"
    assert api.user(bystander.access).status == 200
    assert found(living(person.email)) == 2  # the bystander, and the one of the registration


def test_fifty_refreshes_with_one_key_all_succeed_with_one_successor(api):
    person = api.somebody()
    token = person.tokens.refresh
    for n in range(ROUNDS):
        answers = at_once([partial(api.refresh, token, key=f"{KEY}{n}")] * CROWD)
        assert {outcome(answer) for answer in answers} == {200}
        pairs = [tokens_of(answer) for answer in answers]
        assert len({claims_of(pair.refresh)["jti"] for pair in pairs}) == 1
        assert api.user(pairs[-1].access).status == 200
        token = pairs[n % CROWD].refresh
    assert api.refresh(token).status == 200
    assert outcome(api.refresh(token)) == "token_reused"


def test_a_shared_key_shields_nobody_from_a_crowd_without_it(api):
    person = api.somebody()
    for _ in range(ROUNDS // 4):
        pair = api.login(person.email)
        keys = [KEY, None, KEY, "another-key", None] * (CROWD // 5)
        answers = at_once([partial(api.refresh, pair.refresh, key=key) for key in keys])
        said = [(key, outcome(answer)) for key, answer in zip(keys, answers, strict=True)]
        pairs = [tokens_of(answer) for answer in answers if answer.status == 200]
        assert len({claims_of(won.refresh)["jti"] for won in pairs}) == 1
        winning_keys = {key for key, what in said if what == 200}
        assert len(winning_keys) == 1
        if winning_keys == {None}:
            assert len(pairs) == 1
        losers = {what for key, what in said if key not in winning_keys}
        assert losers == {"token_reused"}
        with_the_key = {what for key, what in said if key in winning_keys and key}
        assert with_the_key <= {200, "token_revoked"}
        for won in pairs:
            assert outcome(api.user(won.access)) == "token_revoked"
        assert outcome(api.refresh(pairs[0].refresh)) == "token_revoked"


def test_an_answer_that_was_lost_is_given_again(api, server):
    body = json.dumps({"refresh": (pair := api.somebody().tokens).refresh})
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(
            f"POST /api/token/refresh/ HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    for _ in range(500):
        answer = api.call("POST", "token/verify/", {"token": pair.refresh})
        if answer.status == 401:
            break
        time.sleep(0.01)
    assert outcome(answer) == "token_revoked"  # the server has rotated, and nobody was told
    won = tokens_of(api.refresh(pair.refresh, key=KEY))
    assert api.user(won.access).status == 200
    assert api.refresh(won.refresh).status == 200


# --- a session in full use, and what ends it


class Ending(NamedTuple):
    """What an ending has at hand: the session that is to end, and another of the same person."""

    api: Api
    operator: object
    email: str
    pair: Tokens
    other: Tokens

    def room(self, function, *args):
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
    "set-password": lambda e: e.room(administration.set_password, NEW_PASSWORD),
    "password/change": end_by_change,
    "password/reset": end_by_reset,
    "deactivate": lambda e: e.room(administration.set_active, False),
    "delete": lambda e: e.room(administration.delete_user),
    "delete by its owner": lambda e: e.api.call("DELETE", "user/", access=e.other.access),
}
DELETES = ("delete", "delete by its owner")
ENDS_THE_OTHER = ("set-password", "password/reset", "deactivate", *DELETES)


class Use:
    """A session in use from several threads: one refreshes in a chain, others read."""

    def __init__(self, api, pair):
        self.api, self.issued, self.log = api, [pair], []
        self.acknowledged = threading.Event()

    def _note(self, call, token):
        """Call; keep when it started and what came of it."""
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
        """Use the session, ``end`` it after so many refreshes; return what began after the ack."""
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


@pytest.mark.parametrize("name", ENDINGS)
def test_no_use_that_starts_after_the_end_was_acknowledged_succeeds(api, operator, found, name):
    for n in range(3 * SOAK):
        person = api.somebody()
        pair = api.login(person.email)
        ending = Ending(api, operator, person.email, pair, person.tokens)
        use = Use(api, pair)
        late = use.until(partial(ENDINGS[name], ending), refreshes=n % 4 + 1)
        assert set(late) == {"token_revoked"}
        assert {what for _, what in use.log} == {200, "token_revoked"}
        if name == "deactivate":
            ending.room(administration.set_active, True)
        if name in DELETES:  # the same address again does not revive what was
            body = {"email": person.email, "password": PASSWORD}
            assert api.call("POST", "register/", body).status == 201
        for issued in use.issued:
            assert outcome(api.user(issued.access)) == "token_revoked"
        assert outcome(api.refresh(use.issued[-1].refresh)) == "token_revoked"
        rotated = "token_revoked" if name in DELETES else "token_reused"
        for issued in use.issued[:-1]:
            assert outcome(api.refresh(issued.refresh)) == rotated
        survives = 401 if name in ENDS_THE_OTHER else 200
        assert api.user(person.tokens.access).status == survives
        if name != "password/change":  # which answers with a refresh token in place of this one
            assert api.refresh(person.tokens.refresh).status == survives
        assert found(living(person.email)) == (name not in ENDS_THE_OTHER or name in DELETES)


def test_a_password_change_a_logout_and_refreshes_of_one_session_at_once(api, found):
    """A logout that was answered stands; a refused change changed nothing."""
    for _ in range(ROUNDS // 4):
        person = api.somebody()
        access, refresh = person.tokens
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        change, logout, *refreshes = at_once(
            [
                partial(api.call, "POST", "password/change/", body, access),
                partial(api.logout, access),
                partial(api.refresh, refresh),
                partial(api.refresh, refresh),
            ]
        )
        assert logout.status == 204
        assert outcome(change) in (200, "token_revoked")
        known = [tokens_of(a) for a in (change, *refreshes) if a.status == 200]
        assert sum(answer.status == 200 for answer in refreshes) <= 1
        for pair in (person.tokens, *known):
            assert outcome(api.user(pair.access)) == "token_revoked"
            assert api.refresh(pair.refresh).status == 401
        assert found(living(person.email)) == 0
        api.login(person.email, NEW_PASSWORD if change.status == 200 else PASSWORD)


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
    """Log in again and again, and three times more after the acknowledgement."""
    logins, left = [], 3
    while left:
        left -= acknowledged.is_set()
        logins.append(timed(partial(api.try_login, email, password)))
    return logins


def logins_around(api, email, change, *, wanted):
    """Log in with the old and the new password from all sides while ``change`` happens."""
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


@pytest.mark.parametrize("name", ["set-password", "deactivate"])
def test_a_login_never_leaves_a_session_that_the_change_should_have_ended(
    api, operator, found, name
):
    for n in range(3 * SOAK):
        person = api.somebody()
        if n % 2:  # racing the upgrade of an old hash too
            store_hash(operator, person.email, old_hash())
        ending = Ending(api, operator, person.email, person.tokens, person.tokens)
        at, old, new = logins_around(
            api,
            person.email,
            partial(ENDINGS[name], ending),
            wanted=partial(lambda email, n: found(living(email)) > n + 1, person.email, n),
        )
        for logins in (old, new):
            assert {outcome(one.answer) for one in logins} <= {200, "invalid_credentials"}
        assert {outcome(one.answer) for one in old if one.started > at} == {"invalid_credentials"}
        if name == "set-password":
            assert {outcome(one.answer) for one in new if one.started > at} == {200}
        else:
            assert {outcome(one.answer) for one in new} == {"invalid_credentials"}
            ending.room(administration.set_active, True)
        before = [tokens_of(one.answer) for one in old if one.answer.status == 200]
        assert before
        for pair in before:
            assert outcome(api.user(pair.access)) == "token_revoked"
            assert outcome(api.refresh(pair.refresh)) == "token_revoked"
        after = [tokens_of(one.answer) for one in new if one.answer.status == 200]
        assert {api.user(pair.access).status for pair in after} <= {200}
        assert found(living(person.email)) == len(after)


def old_hash():
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def store_hash(operator, email, hashed):
    with operator.app_context():
        db.session.execute(update(User).where(User.email == email).values(password_hash=hashed))
        db.session.commit()


def test_ten_logins_onto_an_old_hash_all_succeed_and_leave_one_current_hash(api, operator, found):
    for _ in range(5 * SOAK):
        person = api.somebody()
        store_hash(operator, person.email, old_hash())
        answers = at_once([partial(api.try_login, person.email)] * 10)
        assert [outcome(answer) for answer in answers] == [200] * 10
        hashed = found(select(User.password_hash).where(User.email == person.email))
        assert HASH_FORMAT.fullmatch(hashed)
        for answer in answers:
            assert api.user(tokens_of(answer).access).status == 200
        api.login(person.email)
        assert found(select(User.password_hash).where(User.email == person.email)) == hashed


def test_a_crowd_of_logins_keeps_the_cap_and_the_newest(api, operator, found):
    cap = operator.config["SESSIONS_PER_USER"]
    assert cap == 100
    person = api.somebody()
    count = cap + 40
    with ThreadPoolExecutor(20) as pool:
        logins = list(pool.map(lambda _: timed(partial(api.try_login, person.email)), range(count)))
    assert {outcome(one.answer) for one in logins} == {200}
    assert found(select(func.count(Session.id)).where(of(person.email))) == cap
    works = 0
    for login in logins:
        said = outcome(api.user(tokens_of(login.answer).access))
        assert said in (200, "token_revoked")
        works += said == 200
        may_be_newer = sum(one.answered > login.started for one in logins)
        if may_be_newer <= cap:
            assert said == 200
    assert works == cap
    newest = [api.login(person.email) for _ in range(5)]
    for pair in newest:
        assert api.user(pair.access).status == 200
        assert api.refresh(pair.refresh).status == 200
    assert found(select(func.count(Session.id)).where(of(person.email))) == cap


def test_everybody_in_a_crowd_gets_in(api):
    people = [api.somebody() for _ in range(12)]

    def log_in(person):
        body = {"email": person.email, "password": PASSWORD}
        return {outcome(api.call("POST", "login/", body)) for _ in range(25 * SOAK)}

    with ThreadPoolExecutor(12) as pool:
        assert set().union(*pool.map(log_in, people)) == {200}


# --- the same revocation from all sides


def test_revoking_one_access_token_from_all_sides_is_no_error(api, found):
    person = api.somebody()
    before = found(select(func.count(TokenBlocklist.jti)))
    revoked = select(func.count(AuditEvent.id)).where(
        AuditEvent.event == Event.TOKEN_REVOKED,
        AuditEvent.user_id.in_(select(User.id).where(User.email == person.email)),
    )
    for n in range(1, 5 * SOAK + 1):
        pair = api.login(person.email)
        answers = at_once([partial(api.revoke, pair.access)] * 12)
        assert [outcome(answer) for answer in answers] == [200] * 12
        assert outcome(api.user(pair.access)) == "token_revoked"
        assert api.refresh(pair.refresh).status == 200
        assert found(select(func.count(TokenBlocklist.jti))) == before + n
        assert found(revoked) == n


def test_logging_out_from_all_sides_is_no_error(api, found):
    person = api.somebody()
    for _ in range(5 * SOAK):
        pair = api.login(person.email)
        answers = at_once([partial(api.logout, *pair)] * 12)
        assert [outcome(answer) for answer in answers] == [204] * 12
        assert outcome(api.user(pair.access)) == "token_revoked"
    assert found(living(person.email)) == 1


def test_two_devices_that_log_each_other_out_do_not_wait_for_each_other(api, found):
    person = api.somebody()
    for _ in range(10 * SOAK):
        one, two = api.login(person.email), api.login(person.email)
        calls = [partial(api.logout, one.access, two.refresh)] * 3
        calls += [partial(api.logout, two.access, one.refresh)] * 3
        assert [outcome(answer) for answer in at_once(calls)] == [204] * 6
        assert outcome(api.user(one.access)) == outcome(api.user(two.access)) == "token_revoked"
    assert found(living(person.email)) == 1


def test_devices_that_end_each_other_leave_one_at_most(api, found):
    for _ in range(5 * SOAK):
        person = api.somebody()
        pairs = [api.login(person.email) for _ in range(9)] + [person.tokens]
        said = [outcome(a) for a in at_once([partial(api.end_others, p.access) for p in pairs])]
        assert set(said) <= {204, "token_revoked"}
        assert found(living(person.email)) == (said.count(204) == 1)
