"""Visitors from any address, and logins with a wrong password."""

import re

from pycoder.errors import TooManyRequests
from tests.support.callers import Caller

WRONG = "this is not the password"
MINUTE = 60


def visitor(app, email="ada@example.com", ip="127.0.0.1", **headers):
    """Return a caller on a new device, with this network address and these headers."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = ip
    client.environ_base |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return Caller(client, email)


def guess(app, *args, **kwargs):
    """Log in as a new visitor with a wrong password; return the response."""
    return visitor(app, *args, **kwargs).try_login(password=WRONG)


def guesses(count, app, *args, **kwargs):
    """Guess so many times; return the statuses."""
    return [guess(app, *args, **kwargs).status_code for _ in range(count)]


def wait_of(response):
    """Assert that a response is a 429 problem; return its Retry-After in seconds.

    The sentence for the user names the same time.
    """
    assert response.status_code == response.json["status"] == 429
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "too_many_requests"
    assert re.fullmatch(r"[1-9][0-9]*", response.headers["Retry-After"])
    seconds = int(response.headers["Retry-After"])
    assert response.json["detail"] == TooManyRequests(seconds).detail
    return seconds
