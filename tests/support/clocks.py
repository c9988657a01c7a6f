"""Clocks that are moved, and conditions that are waited for."""

import time
from datetime import timedelta

import time_machine

from pycoder.clock import now


def later(**delta):
    """Move the clock by a ``timedelta``, and stop it there."""
    return time_machine.travel(now() + timedelta(**delta), tick=False)


def until_expired(lifetime=2):
    """Wait until every access token issued so far has expired, by the server and by its client."""
    expiry = time.monotonic() + lifetime + 0.1
    until(lambda: time.monotonic() > expiry)


def until(holds):
    """Wait until a condition holds, for 30 seconds at most."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
