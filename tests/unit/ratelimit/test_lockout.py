"""The lockout of accounts."""

import contextlib

import pytest

from pycoder.audit import Event
from pycoder.errors import InvalidCredentials, TooManyRequests
from pycoder.ratelimit import lockout
from tests.support.login_attempts import MINUTE


def attempt():
    return lockout.guard("login.account", "slow", Event.LOGIN_REFUSED, "wrong password", None)


def test_an_attempt_released_late_does_not_make_room_for_one_more(app, clock):
    with app.app_context():
        with attempt():
            clock.shift(15 * MINUTE)
        for _ in range(10):
            with pytest.raises(InvalidCredentials), attempt():
                raise InvalidCredentials
        with pytest.raises(TooManyRequests), attempt():
            pass


def test_an_attempt_that_finds_no_room_is_no_failure(app):
    with app.app_context():
        with contextlib.ExitStack() as under_way:
            for _ in range(10):
                under_way.enter_context(attempt())
            for _ in range(5):
                with pytest.raises(TooManyRequests) as refusal, attempt():
                    pass
                assert refusal.value.headers["Retry-After"] == "2"
        for _ in range(10):
            with pytest.raises(InvalidCredentials), attempt():
                raise InvalidCredentials
