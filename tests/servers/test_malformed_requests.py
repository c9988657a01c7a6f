"""Bytes that are no HTTP request: nothing of them reaches the log."""

import contextlib
import socket

import pytest

from tests.support.connections import ApiConnection
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

CANARY = "cAnArYcAnArY"
BODY = f'{{"email":"a@example.com","password":"{CANARY}"}}'
POST = "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "a length that is too short": f"{POST}Content-Length: 5\r\n\r\n{BODY}\r\n\r\n",
    "a length that is no number": f"{POST}Content-Length: {CANARY}\r\n\r\n{BODY}",
    "two lengths": f"{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{BODY}\r\n\r\n",
    "a header without a colon": f"{POST}{CANARY}\r\n\r\n",
    "a header name with a blank": f"{POST}{CANARY} x: y\r\n\r\n",
    "a folded header": f"{POST}X: y\r\n {CANARY}\r\n\r\n",
    "a header with a control character": f"{POST}X: {CANARY}\0\r\n\r\n",
    "a header that is too long": f"{POST}X: {CANARY * 20_000}\r\n\r\n",
    "an unknown coding": f"{POST}Transfer-Encoding: {CANARY}\r\n\r\n",
    "an unknown expectation": f"{POST}Expect: {CANARY}\r\n\r\n",
    "a method that is none": f"{CANARY}\x01 / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that is none": f"GET / HTTP/{CANARY}\r\nHost: x\r\n\r\n",
    "a target that is none": f"GET http://[{CANARY} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is too long": f"GET /?{CANARY * 2000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "no request line": f"{BODY}\r\n\r\n",
    "the preface of HTTP/2": f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{CANARY}",
    "a proxy's line": f"PROXY TCP4 {CANARY} 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a handshake of TLS": f"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03{CANARY}\r\n\r\n",
    "a chunk without a size": f"{CHUNKED}{CANARY}\r\n\r\n",
    "a chunk that is too long": f"{CHUNKED}3\r\n{BODY}\r\n0\r\n\r\n",
    "a chunk with an extension": f"{CHUNKED}3;{CANARY}\0=\n\r\n{BODY}\r\n0\r\n\r\n",
    "trailers that are none": f"{CHUNKED}2\r\n{{}}\r\n0\r\n{CANARY}\0\r\n\r\n",
    "a body that ends too soon": f"{POST}Content-Length: 5000\r\n\r\n{BODY}",
    "a chunk that ends too soon": f"{CHUNKED}fff\r\n{BODY}",
}


def send(server, text):
    """Send bytes, and wait until the server closes the connection, which it may do at any time."""
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, timeout=5) as connection, contextlib.suppress(OSError):
        connection.sendall(text.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_nothing_of_a_malformed_request_reaches_the_log(kind, tmp_path):
    url = f"sqlite:///{tmp_path}/pycoder.db"
    settings = {"GUNICORN_CMD_ARGS": "--log-level debug"}
    with Server(tmp_path, url, workers=1, kind=kind, **settings) as server:
        for text in MALFORMED.values():
            send(server, text)
        with ApiConnection(server) as api:
            assert api.call("GET", "/healthz").status == 200
        log = server.log.read_text()
    assert CANARY not in log
    if kind == "gunicorn":
        assert "Invalid request from ip=127.0.0.1: InvalidRequestLine\n" in log
