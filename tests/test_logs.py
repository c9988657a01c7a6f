"""What is written to the log, and what never is."""

import json
import logging
import os
import subprocess
import sys

import pytest

from pycoder.audit import Event
from pycoder.logs import JSONLines
from tests.callers import Caller, Line, Server


def line_of(message, exc_info=None):
    record = logging.LogRecord("pycoder", logging.ERROR, "x.py", 1, message, (), exc_info)
    return JSONLines().format(record)


@pytest.mark.parametrize("nasty", ["a\nb", "a\r\nb", "\x1b[31m", "\0", "\u2028", "\udcff", "ü"])
def test_nobody_writes_a_line_of_his_own(nasty):
    line = line_of(f"before {nasty} after")
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"before {nasty} after"


def test_a_line_is_bounded():
    assert len(line_of("x" * 1_000_000)) < 10_000


def test_a_traceback_is_part_of_its_line():
    try:
        raise ValueError("a\nb")
    except ValueError:
        line = line_of("oh", sys.exc_info())
    assert len(line.splitlines()) == 1
    assert "ValueError" in json.loads(line)["traceback"]


MARKER = "mArKeR-never-in-a-log"


def test_no_secret_reaches_a_log(new_database, tmp_path):
    """Everything is tried once against a real server, with recognisable secrets."""
    with Server(tmp_path, new_database(), workers=1) as server, Line(server) as line:

        def post(path, body, **headers):
            return line.call("POST", f"/api/{path}/", body, **headers)

        account = {"email": f"{MARKER}@example.com", "password": f"{MARKER} password"}
        pair = post("register", account).json["tokens"]
        assert post("register", account).status == 400
        assert post("login", account).status == 200
        assert post("login", {**account, "password": f"{MARKER} wrong"}).status == 400
        assert post("login", {**account, "email": f"{MARKER} typed"}).status == 400
        change = {"current_password": f"{MARKER} wrong", "new_password": f"{MARKER} new"}
        move = {"email": "ada@example.org", "password": f"{MARKER} wrong"}
        for path, body in {"password/change": change, "email/change": move}.items():
            assert line.call("POST", f"/api/{path}/", body, pair["access"]).status == 400
        link = {"token": f"{MARKER} link"}
        assert post("email/verify", link).status == 400
        assert post("password/reset/confirm", {**link, "new_password": MARKER}).status == 400
        key = {"Idempotency-Key": f"{MARKER}-key"}
        assert post("token/refresh", {"refresh": pair["refresh"]}, **key).status == 200
        assert post("token/refresh", {"refresh": pair["refresh"]}).status == 401
        assert line.call("GET", f"/api/user/?access_token={pair['access']}").status == 401
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
            with Line(server) as line:
                response = line.call("POST", "/api/login/", body)
            assert response.json["code"] == "database_unavailable"
        with Line(server) as line:
            assert line.call("GET", "/healthz").status == 200
    finally:
        server.stop()


def test_the_trail_says_who_when_and_from_where(ada, rows):
    from pycoder.extensions import db
    from pycoder.models.audit import AuditEvent

    stranger = Caller(ada.client, "typed-a-password-here", "x" * 8)
    headers = {"User-Agent": "Firefox", "X-Request-ID": "request-4711"}
    body = {"email": stranger.email, "password": stranger.password}
    assert ada.client.post("/api/login/", json=body, headers=headers).status_code == 400
    event = rows(db.select(AuditEvent).order_by(AuditEvent.id.desc()))[0]
    assert (event.event, event.reason) == (Event.LOGIN_REFUSED, "unknown account")
    assert (event.ip, event.user_agent) == ("127.0.0.1", "Firefox")
    assert (event.request_id, event.user_id) == ("request-4711", None)
    assert event.at.utcoffset().total_seconds() == 0
    assert stranger.email not in str(vars(event))


def test_the_tail_of_the_trail_is_printed(ada, bob, app):
    tail = app.test_cli_runner().invoke
    assert "event=user.registered" in tail(args=["audit", "tail"]).output
    lines = tail(args=["audit", "tail", "--json", "--user", "bob"]).output.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["user.registered"]
    assert len(tail(args=["audit", "tail", "-n", "1"]).output.splitlines()) == 1
