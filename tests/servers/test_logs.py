"""The log of a real server: no secrets, and no fault of its own."""

import os
import subprocess
import sys

from pycoder.audit import Event
from tests.support.connections import ApiConnection
from tests.support.servers import Server

MARKER = "mArKeR-never-in-a-log"


def test_no_secret_reaches_a_log(new_database, tmp_path):
    """Everything is tried once against a real server, with recognisable secrets."""
    with Server(tmp_path, new_database(), workers=1) as server, ApiConnection(server) as api:

        def post(path, body, **headers):
            return api.call("POST", f"/api/{path}/", body, **headers)

        account = {"email": f"{MARKER}@example.com", "password": f"{MARKER} password"}
        pair = post("register", account).json["tokens"]
        assert post("register", account).status == 400
        assert post("login", account).status == 200
        assert post("login", {**account, "password": f"{MARKER} wrong"}).status == 400
        assert post("login", {**account, "email": f"{MARKER} typed"}).status == 400
        change = {"current_password": f"{MARKER} wrong", "new_password": f"{MARKER} new"}
        move = {"email": "ada@example.org", "password": f"{MARKER} wrong"}
        for path, body in {"password/change": change, "email/change": move}.items():
            assert api.call("POST", f"/api/{path}/", body, pair["access"]).status == 400
        link = {"token": f"{MARKER} link"}
        assert post("email/verify", link).status == 400
        assert post("password/reset/confirm", {**link, "new_password": MARKER}).status == 400
        key = {"Idempotency-Key": f"{MARKER}-key"}
        assert post("token/refresh", {"refresh": pair["refresh"]}, **key).status == 200
        assert post("token/refresh", {"refresh": pair["refresh"]}).status == 401
        assert api.call("GET", f"/api/user/?access_token={pair['access']}").status == 401
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", "audit", "tail", "-n", "100"],
            cwd=server.folder, env=server.env, capture_output=True, text=True,
        )  # fmt: skip
        assert Event.SESSION_REUSED in done.stdout
        written = server.log.read_text() + done.stdout + done.stderr
    assert MARKER not in written
    for token in pair.values():
        assert token not in written
    assert "$bcrypt" not in written


def test_a_clean_stop_is_logged_in_full(tmp_path):
    with Server(tmp_path, f"sqlite:///{tmp_path}/stopped.db", workers=1) as server:
        (worker,) = server.workers()
        server.stop()
    lines = server.log.read_text().splitlines()
    messages = [line.partition("[INFO] ")[2] for line in lines]
    assert {f"Worker exiting (pid: {worker})", "Shutting down: Master"} <= set(messages)


def test_a_broken_log_does_not_break_an_answer(tmp_path):
    url = f"sqlite:///{tmp_path}/gone.db"
    server = Server(tmp_path, url, workers=1)
    read_end, write_end = os.pipe()
    server.log = type("Pipe", (), {"open": lambda self, _: os.fdopen(write_end, "w")})()
    server.start()
    os.close(read_end)
    try:
        for _ in range(3):  # no table, so each answer wants an entry in the log
            body = {"email": "ada@example.com", "password": "a pass phrase"}
            with ApiConnection(server) as api:
                response = api.call("POST", "/api/login/", body)
            assert response.json["code"] == "migrations_pending"
        with ApiConnection(server) as api:
            assert api.call("GET", "/healthz").status == 200
    finally:
        server.stop()
