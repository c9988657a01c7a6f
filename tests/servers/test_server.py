"""The product as it is run: gunicorn with several workers, on both databases."""

import json
import re
import socket
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, ROOT
from tests.support.servers import Server
from tests.support.tokens import claims_of

pytestmark = pytest.mark.untraced  # the server is another process

README_CALLS = re.findall(
    r"^curl .*?(?=\n```)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)[:4]


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    running = Server(folder, new_database(), workers=3, RATE_LIMITS="off")
    assert flask_command(folder, running.env, "db", "upgrade").returncode == 0
    yield running.start()
    assert running.stop() == 0


ADDRESS_CALLS = re.findall(
    r"^curl .*?(?=\n```)",
    (ROOT / "docs" / "frontend.md").read_text().partition("## An address, changed")[2],
    re.MULTILINE | re.DOTALL,
)


def mailed_token(server, page, recipient):
    """Return the token of the link to a page that was mailed to a recipient."""
    for _ in range(400):
        for mail in server.log.read_text().split("\nSubject: "):
            link = re.search(rf"/{page}#token=([\w-]+)\s", mail)
            if link and f"\nTo: {recipient}\n" in mail:
                return link[1]
        time.sleep(0.05)
    raise AssertionError(f"no mail to {recipient}")


def curl(command, server, **replaced):
    """Run a command of the documents on the port of this server; return the JSON, if any."""
    command = command.replace("localhost:8000", f"127.0.0.1:{server.port}")
    for name, value in replaced.items():
        command = command.replace(name, value)
    shell = ["sh", "-c", f"{command} -sS"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout or "null")


def test_the_four_curl_commands_of_the_readme_and_a_restart(server):
    register, login, user, refresh = README_CALLS
    registered = curl(register, server)
    assert registered["user"]["username"] == "testuser"
    tokens = curl(login, server)["tokens"]
    for kind, token in tokens.items():
        claims = claims_of(token)
        assert claims["token_type"] == kind
        assert claims["exp"] - claims["iat"] == {"access": 3600, "refresh": 604_800}[kind]
        assert claims["user_id"] == registered["user"]["id"]
        assert claims["jti"]
    assert curl(user, server, YOUR_ACCESS_TOKEN=tokens["access"]) == registered["user"]
    pair = curl(refresh, server, YOUR_REFRESH_TOKEN=tokens["refresh"])
    assert set(pair) == {"access", "refresh"}

    assert server.stop() == 0
    server.start()
    assert curl(user, server, YOUR_ACCESS_TOKEN=pair["access"]) == registered["user"]
    assert "access" in curl(refresh, server, YOUR_REFRESH_TOKEN=pair["refresh"])
    assert PASSWORD not in server.log.read_text()


def test_the_curl_commands_that_change_an_address_and_undo_it(server):
    register, _, user, _ = README_CALLS
    registered = curl(re.sub("testuser|test(?=@)", "mover", register), server)
    access = registered["tokens"]["access"]
    reauthenticate, change, verify, undo = ADDRESS_CALLS
    proof = curl(reauthenticate, server, YOUR_ACCESS_TOKEN=access)["proof"]
    curl(change, server, YOUR_ACCESS_TOKEN=access, YOUR_PROOF=proof)
    link = mailed_token(server, "verify-email", "new@example.com")
    curl(verify, server, TOKEN_OF_THE_LINK=link)
    assert curl(user, server, YOUR_ACCESS_TOKEN=access)["email"] == "new@example.com"
    link = mailed_token(server, "undo-email", "mover@example.com")
    curl(undo, server, TOKEN_OF_THE_LINK=link)
    assert curl(user, server, YOUR_ACCESS_TOKEN=access)["code"] == "token_revoked"
    listed = flask_command(server.folder, server.env, "users", "list").stdout
    assert "email=mover@example.com" in listed


def test_fifty_registrations_of_one_address_make_one_user(server):
    spellings = [
        "José@example.com",
        "JOSÉ@EXAMPLE.COM",
        unicodedata.normalize("NFD", "josé@example.com"),
        unicodedata.normalize("NFD", "José@Example.com"),
    ]

    def register(n):
        body = {"email": spellings[n % 4], "password": PASSWORD}
        with ApiConnection(server) as api:
            return api.call("POST", "/api/register/", body).status

    with ThreadPoolExecutor(25) as pool:
        codes = list(pool.map(register, range(50)))
    assert sorted(codes) == [201] + [400] * 49
    listed = flask_command(server.folder, server.env, "users", "list").stdout
    assert listed.count('email="josé@example.com"') == 1
    assert listed.count("jos") == 2  # and the username made from it


def test_every_worker_knows_the_same_keys(server):
    body = {"email": "ada@example.com", "password": PASSWORD}
    with ApiConnection(server) as api:
        access = api.call("POST", "/api/register/", body).json["tokens"]["access"]

    def look(_):
        with ApiConnection(server) as api:
            return api.user(access).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(100))) == {200}


def test_the_server_tells_no_version(server):
    with ApiConnection(server) as api:
        headers = api.call("GET", "/healthz").headers
        assert not re.search(r"\d", headers["Server"])
        assert "X-Powered-By" not in headers
        for path in ("/console", "/debug", "/debugger"):
            assert api.call("GET", path).status == 404


def test_a_start_on_a_port_that_is_taken_leaves_the_metrics_of_the_first(server):
    with ApiConnection(server) as api:
        assert api.call("GET", "/nowhere/").status == 404
    command = {"cwd": server.folder, "env": server.env, "capture_output": True, "timeout": 60}
    assert subprocess.run(server.command, **command).returncode != 0
    with ApiConnection(server) as api:
        assert 'pycoder_problems_total{code="not_found"}' in api.call("GET", "/metrics").text


def test_no_header_says_where_the_application_stands(server):
    with ApiConnection(server) as api:
        assert api.call("GET", "/healthz", SCRIPT_NAME="/api").status in (200, 400)


def test_the_secret_stands_in_no_command_line(server):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "gunicorn" in listed
    assert server.env["SECRET_KEY"] not in listed


POST = "POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = '{"email":"a@b.co","password":"x"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
CHUNKS = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: smuggled\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": f"{POST}{LENGTH}{CHUNKED}\r\n{CHUNKS}",
    "chunked twice": f"{POST}{CHUNKED}{CHUNKED}\r\n{CHUNKS}",
    "xchunked": f"{POST}Transfer-Encoding: xchunked\r\n\r\n{CHUNKS}",
    "chunked, identity": f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKS}",
    "space before the colon": f"{POST}Transfer-Encoding : chunked\r\n\r\n{CHUNKS}",
    "chunks in HTTP/1.0": f"{POST}{CHUNKED}\r\n{CHUNKS}".replace("HTTP/1.1", "HTTP/1.0"),
    "two lengths": f"{POST}{LENGTH}Content-Length: 3\r\n\r\n{BODY}",
    "length +2": f"{POST}Content-Length: +2\r\n\r\n{{}}",
    "length 2_0": f"{POST}Content-Length: 2_0\r\n\r\n{{}}",
    "length -1": f"{POST}Content-Length: -1\r\n\r\n{{}}",
    "a folded header": f"{POST}{LENGTH}X-A: b\r\n c\r\n\r\n{BODY}",
    "line feeds alone": f"{POST}{LENGTH}\r\n".replace("\r", "") + BODY,
    "a carriage return within": f"{POST}{LENGTH}X-A: b\rX-B: c\r\n\r\n{BODY}",
    "NUL in a header": f"{POST}{LENGTH}X-A: b\0c\r\n\r\n{BODY}",
    "two hosts": f"{POST}Host: evil.example\r\n{LENGTH}\r\n{BODY}",
    "a header of 9 KB": f"{POST}X-A: {'a' * 9000}\r\n{LENGTH}\r\n{BODY}",
    "an address of 5 KB": f"GET /{'a' * 5000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a chunk of no size": f"{POST}{CHUNKED}\r\nzz\r\n{BODY}\r\n0\r\n\r\n",
    "a chunk of negative size": f"{POST}{CHUNKED}\r\n-1\r\n{BODY}\r\n0\r\n\r\n",
    "a chunk without its end": f"{POST}{CHUNKED}\r\n{len(BODY):x}\r\n{BODY}XX0\r\n\r\n",
}


@pytest.mark.parametrize("request_text", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_that_two_parsers_could_read_differently_ends_its_connection(
    request_text, server
):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall((request_text + SMUGGLED).encode())
        answer = b"".join(iter(partial(line.recv, 65_536), b""))  # until the server hangs up
    assert re.findall(rb"HTTP/1\.\d (\d+)", answer) in ([b"400"], [b"414"], [b"431"])
    assert b"smuggled" not in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    problem, headers = json.loads(body), head.decode().lower().split("\r\n")
    assert problem.keys() == {"type", "title", "status", "detail", "code", "request_id"}
    assert (problem["code"], head.split()[1]) == ("bad_request", b"%d" % problem["status"])
    assert f"x-request-id: {problem['request_id']}" in headers
    assert f"content-length: {len(body)}" in headers
    assert {"content-type: application/problem+json", "cache-control: no-store"} <= {*headers}


def test_once_all_is_loaded_garbage_is_looked_for_again(tmp_path):
    asked = "import gc, wsgi; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True"]
