"""The product as it is run: gunicorn with several workers, on both databases."""

import json
import re
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.callers import PASSWORD, ROOT, Line, Server, flask_command

pytestmark = pytest.mark.untraced  # the server is another process

SEED_CALLS = re.findall(
    r"^curl .*?(?=\n```)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)[:4]


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    running = Server(folder, new_database(), workers=3, RATE_LIMITS="off")
    assert flask_command(folder, running.env, "db", "upgrade").returncode == 0
    yield running.start()
    assert running.stop() == 0


def curl(command, server, **replaced):
    """Run a command of the seed as it is printed, on the port of this server."""
    command = command.replace("localhost:8000", f"127.0.0.1:{server.port}")
    for name, value in replaced.items():
        command = command.replace(name, value)
    shell = ["sh", "-c", f"{command} -sS"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def claims_of(token):
    import base64

    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_the_four_curl_commands_of_the_seed_and_a_restart(server):
    register, login, user, refresh = SEED_CALLS
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


def test_fifty_registrations_of_one_address_make_one_user(server):
    spellings = [
        "José@example.com",
        "JOSÉ@EXAMPLE.COM",
        unicodedata.normalize("NFD", "josé@example.com"),
        unicodedata.normalize("NFD", "José@Example.com"),
    ]

    def register(n):
        body = {"email": spellings[n % 4], "password": PASSWORD}
        with Line(server) as line:
            return line.call("POST", "/api/register/", body).status

    with ThreadPoolExecutor(25) as pool:
        codes = list(pool.map(register, range(50)))
    assert sorted(codes) == [201] + [400] * 49
    listed = flask_command(server.folder, server.env, "users", "list").stdout
    assert listed.count("email=josé@example.com") == 1
    assert listed.count("jos") == 2  # and the username made from it


def test_every_worker_knows_the_same_keys(server):
    body = {"email": "ada@example.com", "password": PASSWORD}
    with Line(server) as line:
        access = line.call("POST", "/api/register/", body).json["tokens"]["access"]

    def look(_):
        with Line(server) as line:
            return line.user(access).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(100))) == {200}


def test_the_server_does_not_say_what_it_is(server):
    with Line(server) as line:
        assert line.call("GET", "/healthz").headers["Server"] == "PyCoder"
        for path in ("/console", "/debug", "/admin"):
            assert line.call("GET", path).status == 404


def test_the_secret_stands_in_no_command_line(server):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "gunicorn" in listed
    assert server.env["SECRET_KEY"] not in listed


def test_the_driver_is_psycopg_3():
    assert psycopg.__version__.startswith("3.")


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
