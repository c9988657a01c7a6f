"""The lockout of accounts."""

import contextlib

import pytest
from sqlalchemy.exc import OperationalError

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


class Frozen(OperationalError):
    """A database that does not answer, so that no counter can be reset."""

    def __init__(self):
        super().__init__("", None, Exception(), connection_invalidated=True)


def test_faults_of_the_database_lock_nobody_out_for_longer_than_half_a_minute(app, clock):
    with app.app_context():
        for _ in range(10):
            with pytest.raises(Frozen), attempt():
                raise Frozen
        clock.shift(31)
        for _ in range(10):
            with attempt():
                pass


def test_a_process_that_died_among_failures_gives_no_attempt_away(app, clock):
    """Its attempt ends by itself; the failures before it still count."""
    with app.app_context():
        for _ in range(9):
            with pytest.raises(InvalidCredentials), attempt():
                raise InvalidCredentials
        attempt().__enter__()  # never left
        with pytest.raises(TooManyRequests), attempt():
            pass
        clock.shift(31)
        with pytest.raises(InvalidCredentials), attempt():
            raise InvalidCredentials
        with pytest.raises(TooManyRequests) as refusal, attempt():
            pass
        assert int(refusal.value.headers["Retry-After"]) > 14 * 60
