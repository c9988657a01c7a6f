"""Fixtures of the tests with real servers."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from types import SimpleNamespace

import pytest
import time_machine

from pycoder.tokens import status_list
from tests.support.backend_samples import SNIPPETS
from tests.support.callers import Caller
from tests.support.postgres import run_postgres


@pytest.fixture(scope="module")
def breakable_postgres(tmp_path_factory):
    """A PostgreSQL server that tests may stop and suspend."""
    with run_postgres(tmp_path_factory) as server:
        yield server


@pytest.fixture
def acts(app):
    """What a path of the test does: a function that returns a text."""
    return {"/sign-in": lambda: Caller(app.test_client()).login().access}


@pytest.fixture
def skew():
    """The seconds by which the clock of the service is ahead of the server's."""
    return SimpleNamespace(seconds=0)


@pytest.fixture
def address(app, setting, skew, acts):
    """Serve the documents of the application on a port of its own; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            act = acts.get(self.path)
            with time_machine.travel(time() - skew.seconds, tick=False):
                answer = act() if act else app.test_client().get(self.path)
            self.send_response(200 if act else answer.status_code)
            self.end_headers()
            self.wfile.write(answer.encode() if act else answer.data)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for name in ("PUBLIC_URL", "JWT_ISSUER"):
            setting(name, url)
        status_list._build_token.cache_clear()
        yield url
        server.shutdown()


@pytest.fixture
def snippet(address):
    """Return a function that returns a snippet by its heading, with the address of the service."""
    return lambda heading: SNIPPETS[heading].replace("https://auth.example.com", address)
