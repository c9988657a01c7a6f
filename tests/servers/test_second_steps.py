"""Second steps on real servers: guesses at once, killed workers, and the traces they leave."""

import base64
import contextlib
import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from tests.support.application import application
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, SOAK
from tests.support.mail_server import MailServer
from tests.support.races import live_sessions_of
from tests.support.second_factors import Authenticator, confirm_address
from tests.support.servers import Server
from tests.support.snapshots import take

pytestmark = pytest.mark.untraced  # the server is another process

GUESSES = 1000
ROUNDS = 8 * SOAK
chance = random.SystemRandom()


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("second_steps")
    limits = "login.ip=9999/5minute;second.ip=9999/5minute;register.ip=9999/hour"
    settings = {"BCRYPT_ROUNDS": 4, "TRUSTED_PROXIES": 1, "RATE_LIMITS": limits}
    with Server(folder, new_database(), workers=4, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def scalar(server, tmp_path_factory):
    """Return a function that reads one current value from the server's database."""
    url = server.env["DATABASE_URL"]
    with application(tmp_path_factory.mktemp("operator"), DATABASE_URL=url) as app:

        def read(statement):
            with app.app_context():
                return db.session.scalar(statement)

        read.app = app
        yield read


class Owner:
    """A user with an authenticator app, on a device with a cookie."""

    def __init__(self, server, app, email):
        self.server, self.email = server, email
        registered = self.call("/api/register/", {"email": email, "password": PASSWORD})
        access = registered.json["tokens"]["access"]
        self.cookie = registered.headers["Set-Cookie"].partition(";")[0]
        confirm_address(app, email)
        setup = self.call("/api/factors/totp/", {"password": PASSWORD}, access).json
        self.app = Authenticator(setup["secret"])
        body = {"code": self.app.code(-1)}
        confirmed = self.call("/api/factors/totp/confirm/", body, access)
        self.codes = confirmed.json["recovery_codes"]

    def call(self, path, body, access=None, **headers):
        with ApiConnection(self.server) as api:
            return api.call("POST", path, body, access, **headers)

    def ticket(self, **headers):
        answer = self.call("/api/login/", {"email": self.email, "password": PASSWORD}, **headers)
        assert answer.status == 403, answer.text
        return answer.json["ticket"]

    def step(self, ticket, factor, **headers):
        return self.call("/api/login/second-step/", {"ticket": ticket, **factor}, **headers)


def test_of_a_thousand_guesses_at_once_five_a_ticket_and_ten_an_account_count(server, scalar):
    owner = Owner(server, scalar.app, "ada@example.com")
    stranger = {"X-Forwarded-For": "198.51.100.7"}
    tickets = [owner.ticket(**stranger) for _ in range(5)]
    wrong = {"code": owner.app.wrong_code()}

    def guess(tickets, count):
        with ThreadPoolExecutor(50) as pool:
            tries = islice(cycle(tickets), count)
            answers = pool.map(lambda ticket: owner.step(ticket, wrong, **stranger), tries)
            return [one.json["code"] for one in answers]

    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.SECOND_REFUSED)
    first = guess(tickets[:1], 100)
    assert (first.count("invalid_code"), scalar(refused)) == (5, 5)
    assert {"invalid_code", "ticket_invalid"} <= set(first)
    assert set(first) <= {"invalid_code", "ticket_invalid", "too_many_requests"}
    rest = guess(tickets[1:], GUESSES - 100)
    assert (rest.count("invalid_code"), scalar(refused)) == (5, 10)
    assert set(rest) <= {"invalid_code", "ticket_invalid", "too_many_requests"}
    right = {"code": owner.app.code()}
    assert owner.step(owner.ticket(**stranger), right, **stranger).status == 429
    known = {"Cookie": owner.cookie}
    assert owner.step(owner.ticket(**known), right, **known).status == 200


def try_while_killed(server, owner, ticket, factor):
    """Take a second step while a worker is killed; return the response, if one comes."""
    victims, gone = sorted(server.workers()), threading.Event()

    def kill():
        time.sleep(chance.uniform(0, 0.03))
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gone.set()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with contextlib.suppress(*ApiConnection.NO_ANSWER):
            return owner.step(ticket, factor)
        return None
    finally:
        killer.join()
        server._wait_until_it_answers()


def test_a_killed_worker_uses_a_code_up_exactly_if_it_signs_in(server, scalar):
    unanswered = 0
    for n in range(ROUNDS):
        owner = Owner(server, scalar.app, f"killed{n}@example.com")
        live = live_sessions_of(owner.email)
        for factor in ({"code": owner.app.code()}, {"recovery_code": owner.codes[0]}):
            before, ticket = scalar(live), owner.ticket()
            answer = try_while_killed(server, owner, ticket, factor)
            unanswered += answer is None
            signed_in = scalar(live) - before
            assert answer is None or (answer.status == 200) == bool(signed_in)
            again = owner.step(owner.ticket(), factor)
            assert (again.status == 200) == (not signed_in)
            assert scalar(live) == before + 1
            if signed_in:
                assert owner.step(ticket, {"recovery_code": owner.codes[1]}).status == 400
    assert unanswered, "no call was hit"


def use_every_factor(owner):
    """Sign in by each kind of factor, and return all secrets that were sent or shown."""
    wrong, right = owner.app.wrong_code(), owner.app.code()
    tickets = [owner.ticket(), owner.ticket()]
    assert owner.step(tickets[0], {"code": wrong}).status == 400
    signed_in = owner.step(tickets[0], {"code": right})
    assert owner.step(tickets[1], {"recovery_code": owner.codes[0]}).status == 200
    body = {"password": PASSWORD, "recovery_code": owner.codes[1]}
    proof = owner.call("/api/reauthenticate/", body, signed_in.json["tokens"]["access"])
    unused = owner.ticket()
    key = owner.app.key
    secrets = [PASSWORD, base64.b32encode(key).decode(), key.hex()]
    secrets += [key.decode("latin-1"), repr(key)[2:-1]]
    secrets += [*tickets, unused, proof.json["proof"], *owner.codes]
    secrets += [code.replace("-", "") for code in owner.codes]
    return secrets, [wrong, right, owner.app.code(-1)]


def test_logs_mails_and_the_database_contain_no_secret(new_database, tmp_path):
    url = new_database()
    with MailServer() as mailbox, application(tmp_path, DATABASE_URL=url) as app:
        with Server(tmp_path, url, workers=1, BCRYPT_ROUNDS=4, MAIL_URL=mailbox.url) as server:
            secrets, codes = use_every_factor(Owner(server, app, "ada@example.com"))
            mails = mailbox.wait_for(5)
            traces = {"dump": repr(take(app)), "log": server.log.read_text()}
        if url.startswith("sqlite"):
            files = Path(url.removeprefix("sqlite:///")).parent.glob("pycoder.db*")
            traces["files"] = b"".join(map(Path.read_bytes, files)).decode("latin-1")
    traces |= {mail.subject: f"{mail.headers} {mail.text} {mail.html}" for mail in mails}
    assert "A recovery code of your account was used" in traces
    assert "login.second_refused" in traces["dump"]
    for where, trace in traces.items():
        assert [secret for secret in secrets if secret in trace] == [], where
        # Alone: six digits may be the fraction of a second, or a part of a longer value.
        assert [code for code in codes if re.search(rf"(?<![\w.]){code}(?!\w)", trace)] == [], where
