"""The files of ``deploy/``: the real nginx in front of both servers, and restarts in service."""

import contextlib
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import TestingConfig
from tests.support.callers import Tokens
from tests.support.clocks import until
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, ROOT, SOAK
from tests.support.nginx import Nginx
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

SLOW = 4 * TestingConfig({"WEB_CONCURRENCY": "1"}, ROOT).THREADS  # of each kind
PATIENCE = 8  # seconds; nginx waits 10 s for a slow client before it gives up
LOGIN = b"POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
KINDS = {
    "idle": b"",
    "half a header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "half a body": LOGIN + b"Content-Length: 900\r\n\r\n{",
    "a huge body": LOGIN + b"Content-Length: 9000000000\r\n\r\n{",
}


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    settings = {"kind": request.param, "RATE_LIMITS": "off", "TRUSTED_PROXIES": 1}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", workers=1, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(server, tmp_path_factory):
    with Nginx(tmp_path_factory.mktemp("nginx"), server) as running:
        yield running


emails = (f"person{n}@example.com" for n in range(1000))


def signed_in(server):
    with ApiConnection(server) as api:
        return Tokens(**api.register(next(emails)).json["tokens"])


@contextlib.contextmanager
def slow_clients(nginx):
    """Connect slow clients of every kind; yield a function that sends one more byte of each."""
    with contextlib.ExitStack() as lines:
        clients = []
        for sent in KINDS.values():
            for _ in range(SLOW):
                plain = socket.create_connection(("127.0.0.1", nginx.port))
                clients.append(
                    lines.enter_context(nginx.tls.wrap_socket(plain, server_hostname="127.0.0.1"))
                )
                clients[-1].sendall(sent)

        def drip():
            for client in clients[SLOW:]:
                with contextlib.suppress(OSError):  # told that its body is too large
                    client.sendall(b"1")

        yield drip


def test_slow_clients_hold_up_nobody(nginx):
    access = signed_in(nginx).access
    with slow_clients(nginx) as drip:
        for _ in range(5 * SOAK):
            drip()
            for call in (lambda api: api.call("GET", "/healthz"), lambda api: api.user(access)):
                with ApiConnection(nginx) as api:
                    api.connection.timeout = PATIENCE
                    assert call(api).status == 200
            time.sleep(0.1)


def test_nobody_tells_nginx_his_address(nginx):
    claimed = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "X_Forwarded_For"), "203.0.113.9")
    claimed |= {"Forwarded": "for=203.0.113.9", "X-Forwarded-Host": "evil.example"}
    body = {"email": next(emails), "password": PASSWORD}
    with ApiConnection(nginx) as api:
        tokens = api.call("POST", "/api/register/", body, **claimed).json["tokens"]
        sessions = api.call("GET", "/api/sessions/", access=tokens["access"], **claimed).json
    assert [session["ip"] for session in sessions] == ["127.0.0.1"]


def test_nginx_hands_on_cookies_and_the_host_that_a_page_comes_from(nginx):
    body = {"email": next(emails), "password": PASSWORD, "transport": "cookie"}
    with ApiConnection(nginx) as api:
        answer = api.call("POST", "/api/register/", body)
        pairs = [cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie")]
        headers = {"Cookie": "; ".join(pairs), "X-CSRF-TOKEN": answer.json["csrf_token"]}
        for port, status in ((nginx.port, 204), (nginx.port + 1, 403)):
            origin = f"http://127.0.0.1:{port}"
            assert api.call("DELETE", "/api/sessions/", **headers, Origin=origin).status == status


@pytest.mark.parametrize(
    ("path", "size", "status", "code"),
    [
        ("/api/login/", 64 * 1024, 400, "validation_error"),  # the application's own
        ("/api/login/", 64 * 1024 + 1, 413, "body_too_large"),
        ("/metrics", 0, 404, "not_found"),
        ("/metrics/", 0, 404, "not_found"),
        ("/%6detrics", 0, 404, "not_found"),
        ("/problem", 0, 404, "not_found"),
        ("no/slash", 0, 400, "bad_request"),
        ("/" + "x" * 9_000, 0, 414, "bad_request"),
    ],
)
def test_what_nginx_refuses_is_a_problem_like_ours(path, size, status, code, nginx):
    body = {"email": "x" * (size - len('{"email": ""}'))} if size else None
    with ApiConnection(nginx) as api:
        answer = api.call("POST" if size else "GET", path, body)
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code)
    assert answer.json["type"] == f"urn:pycoder:problem:{code}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == answer.json["request_id"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_body_limits_are_one():
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    assert re.findall(r"client_(?:max_body|body_buffer)_size +(\w+);", text) == ["64k", "64k"]


class Forgetful:
    """A node that does what it is asked, and whose answers are lost."""

    def __init__(self, server):
        self.server, self.lost = server, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, socket.create_connection(("127.0.0.1", self.server.port)) as node:
                    node.sendall(whole_request(client))
                    self.lost += bool(node.recv(1))


def whole_request(client):
    text = client.recv(65_536)
    head, _, body = text.partition(b"\r\n\r\n")
    missing = int(re.search(rb"Content-Length: (\d+)", head)[1]) - len(body)
    return text + (client.recv(missing, socket.MSG_WAITALL) if missing else b"")


def test_nginx_repeats_a_refresh_whose_answer_was_lost_only_if_it_has_a_key(server, tmp_path):
    tokens = signed_in(server)
    with Forgetful(server) as forgetful, Nginx(tmp_path, forgetful, server) as nginx:
        with ApiConnection(nginx) as api:
            answers = [api.refresh(tokens.refresh, "a-key-of-mine") for _ in range(2)]
            assert forgetful.lost == 1
            assert [answer.status for answer in answers] == [200, 200]
            newest = answers[-1].json
            while forgetful.lost == 1:
                answer, token = api.refresh(newest["refresh"]), newest["refresh"]
                newest = answer.json
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    with ApiConnection(server) as api:
        assert api.user(tokens.access).status == 200, "nginx used the token twice"
        assert api.refresh(token).json["code"] == "token_reused"


class Customers:
    """People who use the API all the time, by a server and on a connection that stays or not."""

    def __init__(self, *ways):
        self.ways, self.over, self.rounds = ways, threading.Event(), 0

    def __enter__(self):
        self.pool = ThreadPoolExecutor(len(self.ways))
        self.lives = [self.pool.submit(self._live, *way) for way in self.ways]
        return self

    def __exit__(self, *_):
        self.over.set()
        with self.pool:
            for life in self.lives:
                life.result()  # an answer that failed or did not come is raised here

    def go_on(self):
        """Wait until the customers have completed more rounds, or one of them has failed."""
        wanted = self.rounds + 5 * len(self.ways)
        until(lambda: self.rounds >= wanted or any(life.done() for life in self.lives))

    def _live(self, server, stays):
        tokens = signed_in(server)
        with ApiConnection(server) as api:
            while not self.over.wait(0.01):
                if not stays:
                    api.connection.close()
                user = api.user(tokens.access)
                assert user.status == 200, (server, user)
                refreshed = api.refresh(tokens.refresh, f"key{time.monotonic_ns()}")
                assert refreshed.status == 200, (server, refreshed)
                tokens, self.rounds = Tokens(**refreshed.json), self.rounds + 1


def reload(server):
    """Replace the workers, and wait until an old one has exited."""
    old = server.workers()
    server.process.send_signal(signal.SIGHUP)
    until(lambda: old - server.workers())


def test_a_reload_of_gunicorn_refuses_nobody(tmp_path):
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'pycoder.db'}", workers=1, RATE_LIMITS="off")
    with server, Customers((server, True), (server, False), (server, False)) as customers:
        for _ in range(SOAK):
            customers.go_on()
            reload(server)
            customers.go_on()


def test_a_reload_of_granian_refuses_nobody_behind_nginx_with_another_node(tmp_path):
    """A connection that the old worker has just taken is dropped; nginx asks the other node."""
    url, settings = f"sqlite:///{tmp_path / 'pycoder.db'}", {"kind": "granian", "workers": 1}
    settings["PUBLIC_URL"] = "http://localhost"  # the default names the port of a node
    one, other = (Server(tmp_path, url, RATE_LIMITS="off", **settings) for _ in range(2))
    with one, other, Nginx(tmp_path, one, other) as nginx:
        ways = (nginx, True), (nginx, False), (nginx, False)
        with Customers(*ways) as customers:
            for _ in range(SOAK):
                customers.go_on()
                reload(one)
                customers.go_on()


HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_restart_refuses_nobody_while_systemd_holds_the_port(tmp_path):
    """The test holds the port as pycoder.socket does (sd_listen_fds(3))."""
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'pycoder.db'}", workers=1, RATE_LIMITS="off")
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as held:
        server.port = held.getsockname()[1]
        server.command = [sys.executable, "-c", HAND_OVER, str(held.fileno()), *server.command]
        server.inherited = [held.fileno()]
        with server, Customers((server, True), (server, False), (server, False)) as customers:
            for _ in range(SOAK):
                customers.go_on()
                assert server.stop() == 0
                server.start()
            customers.go_on()


def test_the_service_of_systemd_is_production_even_without_a_setting():
    unit = (ROOT / "deploy" / "pycoder.service").read_text().splitlines()
    assert "Environment=PYCODER_ENV=production" in unit
