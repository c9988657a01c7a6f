"""The systems: how each is prepared and started, and how its calls look."""

import json
import os
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks import process
from benchmarks.plan import CLIENTS, PEERS, PYCODER, ROOT, THREADS, VENVS, WORKERS

PASSWORD = "correct horse battery staple"
ACCESS = re.compile(r'"(?:access|access_token|authentication_token)": ?"([^"]+)"')
REFRESH = re.compile(r'"refresh": ?"([^"]+)"')


class Wire(NamedTuple):
    """How the calls of a system look where they differ from PyCoder's."""

    register: str = "/api/register/"
    login: str = "/api/login/"
    user: str = "/api/user/"
    refresh: str = "/api/token/refresh/"  # empty: it has none
    login_name: str = "email"
    form: bool = False  # the login is a form and not JSON
    header: str = "Authorization"
    scheme: str = "Bearer "


WIRES = {
    "drf": Wire(login_name="username"),
    "fapi": Wire("/api/register", "/api/login", refresh="", login_name="username", form=True),
    "fsec": Wire(
        "/api/register",
        "/api/login?include_auth_token",
        refresh="",
        header="Authentication-Token",
        scheme="",
    ),
}


class Failure(Exception):
    """A system did not answer as it must."""


class Tokens(NamedTuple):
    email: str
    access: str
    refresh: str


def email_of(number):
    return f"user{number}@example.com"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class System:
    """One server with a database of its own."""

    def __init__(self, name, database, folder, label=""):
        self.name, self.database, self.folder = name, database, folder
        self.label = label or name
        self.wire = WIRES.get(name, Wire())
        self.port, self.process, self.accounts = 0, None, 0
        self.refused = 0  # logins that were answered 503
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def bin(self):
        return (ROOT / ".venv" if self.name in PYCODER else VENVS / self.name) / "bin"

    def environment(self):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        product = self.name in PYCODER
        return {
            **kept,
            "DATABASE_URL": self.database.url,
            "PYTHONPATH": str(ROOT if product else PEERS),
            "PORT": str(self.port or 8000),
            "WEB_CONCURRENCY": str(WORKERS),
            **({"RATE_LIMITS": "off"} if product else {}),  # development, where that is allowed
            **({"JWT_ALGORITHM": "HS256"} if self.name == "pycoder-hs256" else {}),
        }

    def command(self):
        """Return how it is started; PyCoder as by ``make run``, but from another folder."""
        address = f"127.0.0.1:{self.port}"
        workers, threads = ["--workers", str(WORKERS)], ["--threads", str(THREADS)]
        gunicorn = [self.bin / "python", "-m", "gunicorn"]
        if self.name in ("pycoder", "pycoder-hs256"):
            return [*gunicorn, "-c", ROOT / "gunicorn.conf.py", "wsgi:app"]
        if self.name == "pycoder-granian":
            return [self.bin / "python", "-m", "deploy.granian_server"]
        if self.name == "fapi":
            words = ["--port", str(self.port), *workers, "--no-access-log", "fapi:app"]
            return [self.bin / "python", "-m", "uvicorn", *words]
        words = ["--bind", address, *workers, *threads, "--worker-class", "gthread", "--preload"]
        return [*gunicorn, *words, "--keep-alive", "5", "--no-control-socket", f"{self.name}:app"]

    def prepare(self):
        """Make the tables."""
        words = ["-m", self.name]
        if self.name in PYCODER:
            words = ["-m", "flask", "--app", "wsgi", "db", "upgrade"]
        done = subprocess.run(
            [self.bin / "python", *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise Failure(f"{self.label}: no tables: {done.stderr[-2000:]}")

    def start(self):
        """Start it; return the seconds until its first answer."""
        self.port = free_port()
        with (self.folder / "server.log").open("a") as log:
            began = time.monotonic()
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdout=log, stderr=log
            )
        process.started.append(self.process)
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > began + 20:
                self.stop()
                raise Failure(f"{self.label} did not start: {self.log()[-2000:]}")
            time.sleep(0.005)
        return time.monotonic() - began

    def log(self):
        return (self.folder / "server.log").read_text()

    def answers(self):
        """Tell whether it answers somebody without a token, in whatever way it refuses that."""
        try:
            return self.call("GET", self.wire.user)[0] < 500
        except OSError:
            return False

    def stop(self):
        if self.process:
            process.stop(self.process)
            process.started.remove(self.process)
        self.process = None

    def call(self, method, path, body=None, form=False, token=""):
        """Make one call on a new connection; return the status and the text."""
        headers = {"Connection": "close"}
        if token:
            headers[self.wire.header] = self.wire.scheme + token
        if body is not None:
            kind = "x-www-form-urlencoded" if form else "json"
            headers["Content-Type"] = f"application/{kind}"
            body = urlencode(body) if form else json.dumps(body)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except TimeoutError as error:
            raise OSError("no answer within 60 s") from error
        finally:
            connection.close()

    def expect(self, status, answer, what):
        if answer[0] not in status:
            raise Failure(f"{self.label}, {what}: {answer[0]} {answer[1][:300]}")
        return answer[1]

    def register(self):
        """Make one more account."""
        number, self.accounts = self.accounts, self.accounts + 1
        email = email_of(number)
        body = {"email": email, "username": f"user{number}", "password": PASSWORD}
        if self.name in PYCODER:
            body["password2"] = PASSWORD
        if self.name == "fsec":
            body["password_confirm"] = PASSWORD
        self.expect((200, 201), self.call("POST", self.wire.register, body), "register")

    def try_login(self, number):
        """Log in to one of the accounts in turn; return the status and the text."""
        number %= self.accounts
        name = f"user{number}" if self.name == "drf" else email_of(number)
        body = {self.wire.login_name: name, "password": PASSWORD}
        return self.call("POST", self.wire.login, body, form=self.wire.form)

    def login(self, number):
        """Log in, which must work; refused for want of room (503), try again after a second."""
        deadline = time.monotonic() + 60
        answer = self.try_login(number)
        while answer[0] == 503 and time.monotonic() < deadline:
            self.refused += 1
            time.sleep(1)
            answer = self.try_login(number)
        text = self.expect((200,), answer, "login")
        refresh = REFRESH.search(text)
        return Tokens(
            email_of(number % self.accounts), ACCESS.search(text)[1], refresh[1] if refresh else ""
        )

    def sign_in(self):
        """Log in anew for each client, and once more for the sample calls."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            self.sample, *self.tokens = clients.map(self.login, range(CLIENTS + 1))

    def refresh(self, tokens):
        """Trade a refresh token, which must work and give another one."""
        answer = self.call("POST", self.wire.refresh, {"refresh": tokens.refresh})
        text = self.expect((200,), answer, "refresh")
        new = Tokens(tokens.email, ACCESS.search(text)[1], REFRESH.search(text)[1])
        if self.name != "naive" and new.refresh == tokens.refresh:
            raise Failure(f"{self.label}: a refresh gave the same token again")
        return new

    def check_user(self, tokens):
        """See that an access token yields its own user."""
        text = self.expect((200,), self.call("GET", self.wire.user, token=tokens.access), "user")
        if json.loads(text)["email"] != tokens.email:
            raise Failure(f"{self.label}: another user's answer: {text[:300]}")

    def check_used(self, tokens):
        """See that a refresh token that was used before is refused."""
        answer = self.call("POST", self.wire.refresh, {"refresh": tokens.refresh})
        self.expect((400, 401), answer, "a used refresh token")

    def revoke_one(self):
        """Have PyCoder list one access token as revoked."""
        answer = self.call("POST", "/api/token/revoke/", {"token": self.sample.access})
        self.expect((200,), answer, "revoke")
