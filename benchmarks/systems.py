"""Prepare, start and call each system."""

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


class Api(NamedTuple):
    """Paths and formats of a system's API; the defaults are PyCoder's."""

    register: str = "/api/register/"
    login: str = "/api/login/"
    user: str = "/api/user/"
    refresh: str = "/api/token/refresh/"  # empty if the system has no refresh
    login_name: str = "email"
    form: bool = False  # the login takes a form instead of JSON
    header: str = "Authorization"
    scheme: str = "Bearer "


APIS = {
    "drf": Api(login_name="username"),
    "fapi": Api("/api/register", "/api/login", refresh="", login_name="username", form=True),
    "fsec": Api(
        "/api/register",
        "/api/login?include_auth_token",
        refresh="",
        header="Authentication-Token",
        scheme="",
    ),
}


class Failure(Exception):
    """A system returned a wrong response, or did not start."""


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
    """One server with its own database."""

    def __init__(self, name, database, folder, label=""):
        self.name, self.database, self.folder = name, database, folder
        self.label = label or name
        self.api = APIS.get(name, Api())
        self.port, self.process, self.accounts = 0, None, 0
        self.refused = 0  # logins answered with 503
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def bin(self):
        return (ROOT / ".venv" if self.name in PYCODER else VENVS / self.name) / "bin"

    def environment(self):
        inherited = {
            name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ
        }
        is_pycoder = self.name in PYCODER
        return {
            **inherited,
            "DATABASE_URL": self.database.url,
            "PYTHONPATH": str(ROOT if is_pycoder else PEERS),
            "PORT": str(self.port or 8000),
            "WEB_CONCURRENCY": str(WORKERS),
            **({"RATE_LIMITS": "off"} if is_pycoder else {}),  # allowed in development only
            **({"JWT_ALGORITHM": "HS256"} if self.name == "pycoder-hs256" else {}),
        }

    def command(self):
        """Return the command of the server. PyCoder starts as by ``make run``."""
        address = f"127.0.0.1:{self.port}"
        workers, threads = ["--workers", str(WORKERS)], ["--threads", str(THREADS)]
        gunicorn = [self.bin / "python", "-m", "gunicorn"]
        if self.name in ("pycoder", "pycoder-hs256"):
            return [*gunicorn, "-c", ROOT / "gunicorn.conf.py", "wsgi:app"]
        if self.name == "pycoder-granian":
            return [self.bin / "python", "-m", "deploy.granian_server"]
        if self.name == "fapi":
            options = ["--port", str(self.port), *workers, "--no-access-log", "fapi:app"]
            return [self.bin / "python", "-m", "uvicorn", *options]
        options = ["--bind", address, *workers, *threads, "--worker-class", "gthread", "--preload"]
        return [*gunicorn, *options, "--keep-alive", "5", "--no-control-socket", f"{self.name}:app"]

    def prepare(self):
        """Create the tables. Raises ``Failure``."""
        command = ["-m", self.name]
        if self.name in PYCODER:
            command = ["-m", "flask", "--app", "wsgi", "db", "upgrade"]
        done = subprocess.run(
            [self.bin / "python", *command],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise Failure(f"{self.label}: creating the tables failed: {done.stderr[-2000:]}")

    def start(self):
        """Start the server, and return the seconds until its first response.

        Raises ``Failure``.
        """
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
        """Return whether the server responds with a status below 500."""
        try:
            return self.call("GET", self.api.user)[0] < 500
        except OSError:
            return False

    def stop(self):
        if self.process:
            process.stop(self.process)
            process.started.remove(self.process)
        self.process = None

    def call(self, method, path, body=None, form=False, token=""):
        """Send one request on a new connection. Return the status and the body."""
        headers = {"Connection": "close"}
        if token:
            headers[self.api.header] = self.api.scheme + token
        if body is not None:
            kind = "x-www-form-urlencoded" if form else "json"
            headers["Content-Type"] = f"application/{kind}"
            body = urlencode(body) if form else json.dumps(body)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except TimeoutError as error:
            raise OSError("no response within 60 s") from error
        finally:
            connection.close()

    def expect(self, status, response, what):
        if response[0] not in status:
            raise Failure(f"{self.label}, {what}: {response[0]} {response[1][:300]}")
        return response[1]

    def register(self):
        """Register one more account."""
        number, self.accounts = self.accounts, self.accounts + 1
        email = email_of(number)
        body = {"email": email, "username": f"user{number}", "password": PASSWORD}
        if self.name in PYCODER:
            body["password2"] = PASSWORD
        if self.name == "fsec":
            body["password_confirm"] = PASSWORD
        self.expect((200, 201), self.call("POST", self.api.register, body), "register")

    def try_login(self, number):
        """Log in to one account after another. Return the status and the body."""
        number %= self.accounts
        name = f"user{number}" if self.name == "drf" else email_of(number)
        body = {self.api.login_name: name, "password": PASSWORD}
        return self.call("POST", self.api.login, body, form=self.api.form)

    def login(self, number):
        """Log in, and return the tokens. After a 503, retry once a second.

        Raises ``Failure``.
        """
        deadline = time.monotonic() + 60
        response = self.try_login(number)
        while response[0] == 503 and time.monotonic() < deadline:
            self.refused += 1
            time.sleep(1)
            response = self.try_login(number)
        text = self.expect((200,), response, "login")
        refresh = REFRESH.search(text)
        return Tokens(
            email_of(number % self.accounts), ACCESS.search(text)[1], refresh[1] if refresh else ""
        )

    def sign_in(self):
        """Log in again for each client, and once more for the calls that check the system."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            self.sample, *self.tokens = clients.map(self.login, range(CLIENTS + 1))

    def refresh(self, tokens):
        """Refresh, and return the new tokens. Raises ``Failure`` if they are not new."""
        response = self.call("POST", self.api.refresh, {"refresh": tokens.refresh})
        text = self.expect((200,), response, "refresh")
        new = Tokens(tokens.email, ACCESS.search(text)[1], REFRESH.search(text)[1])
        if self.name != "naive" and new.refresh == tokens.refresh:
            raise Failure(f"{self.label}: a refresh returned the same refresh token")
        return new

    def check_user(self, tokens):
        """Check that an access token returns its own user. Raises ``Failure``."""
        text = self.expect((200,), self.call("GET", self.api.user, token=tokens.access), "user")
        if json.loads(text)["email"] != tokens.email:
            raise Failure(f"{self.label}: the response names another user: {text[:300]}")

    def check_used(self, tokens):
        """Check that a used refresh token is rejected. Raises ``Failure``."""
        response = self.call("POST", self.api.refresh, {"refresh": tokens.refresh})
        self.expect((400, 401), response, "a used refresh token")

    def revoke_one(self):
        """Revoke one access token of PyCoder, so that the blocklist has a row."""
        response = self.call("POST", "/api/token/revoke/", {"token": self.sample.access})
        self.expect((200,), response, "revoke")
