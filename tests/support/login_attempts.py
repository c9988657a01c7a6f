"""Visitors from any address, and logins with a wrong password."""

import re

from tests.support.callers import Caller

WRONG = "this is not the password"
MINUTE = 60


def visitor(app, email="ada@example.com", ip="127.0.0.1", **headers):
    """Somebody on a device that has never been here, from this address, with these headers."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = ip
    client.environ_base |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return Caller(client, email)


def guess(app, *args, **kwargs):
    """Try a wrong password as a visitor; return the answer."""
    return visitor(app, *args, **kwargs).try_login(password=WRONG)


def guesses(count, app, *args, **kwargs):
    """Guess so often; return the statuses."""
    return [guess(app, *args, **kwargs).status_code for _ in range(count)]


def wait_of(response):
    """Return the Retry-After of a refusal, which must be as the contract has it."""
    assert response.status_code == response.json["status"] == 429
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "too_many_requests"
    assert re.fullmatch(r"[1-9][0-9]*", response.headers["Retry-After"])
    return int(response.headers["Retry-After"])
