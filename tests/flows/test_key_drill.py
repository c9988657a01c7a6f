"""A key drill that fails. One that passes is part of servers/test_key_rotation.py."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.application import migrated
from tests.support.ports import free_port


@pytest.fixture
def drill(new_database, tmp_path):
    """Return a function that drills at a URL, and returns the output and the events."""

    def run(url):
        settings = {"DATABASE_URL": new_database(), "JWT_ACCESS_TOKEN_EXPIRES": "1"}
        with migrated(tmp_path, **settings) as app:
            done = app.test_cli_runner().invoke(args=["keys", "drill", "--json", "--url", url])
            with app.app_context():
                assert db.session.scalars(select(User.id)).all() == []
                assert db.session.scalars(select(Session.id)).all() == []
                events = db.session.scalars(select(AuditEvent.event).order_by(AuditEvent.id)).all()
        assert (done.exit_code, done.stderr) == (1, "Error: the drill failed\n")
        return [json.loads(line) for line in done.stdout.splitlines()], events

    return run


@pytest.fixture
def serve():
    """Return a function that answers every GET with a body and every POST with 501."""
    running = []

    def start(body):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, args=(0.01,)).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_a_drill_at_a_service_that_is_away_changes_nothing(drill):
    [verdict], events = drill(f"http://127.0.0.1:{free_port()}")
    assert verdict["passed"] is False
    assert verdict["refused"][0].startswith("/.well-known/jwks.json: ")
    assert Event.KEY_ROTATED not in events
    assert Event.USER_DELETED not in events


@pytest.mark.parametrize("body", [b"<html>", b'{"status": "ok"}'])
def test_a_drill_at_another_site_changes_nothing(body, drill, serve):
    [verdict], events = drill(serve(body))
    assert verdict["refused"][0].startswith("/.well-known/jwks.json: ")
    assert Event.KEY_ROTATED not in events


def test_a_drill_that_fails_later_leaves_a_new_key_and_no_account(drill, serve):
    (made, verdict), events = drill(serve(b'{"keys": []}'))
    assert made["made"]
    assert verdict["passed"] is False
    assert any(refusal.startswith("/api/token/refresh/: ") for refusal in verdict["refused"])
    assert events[-2:] == [Event.KEY_ROTATED, Event.USER_DELETED]
