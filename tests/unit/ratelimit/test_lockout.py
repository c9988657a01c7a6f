"""The lockout of accounts."""

import contextlib

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pycoder.audit import Event
from pycoder.errors import InvalidCredentials, TooManyRequests
from pycoder.extensions import db
from pycoder.models.rate_limit import RateLimit
from pycoder.ratelimit import lockout
from pycoder.ratelimit.lockout import LONGEST_ATTEMPT
from pycoder.ratelimit.storage import DatabaseStorage
from tests.support.login_attempts import MINUTE


def attempt():
    return lockout.guard("login.account", "slow", Event.LOGIN_REFUSED, "wrong password", None)


def fail(times):
    for _ in range(times):
        with pytest.raises(InvalidCredentials), attempt():
            raise InvalidCredentials


def assert_refused():
    with pytest.raises(TooManyRequests), attempt():
        pass


def counted():
    return db.session.scalar(select(RateLimit.count).where(RateLimit.key.contains("login.account")))


def unavailable(*args):
    raise OperationalError("away", {}, Exception())


def test_an_attempt_released_late_does_not_make_room_for_one_more(app, clock):
    with app.app_context():
        with attempt():
            clock.shift(15 * MINUTE)
        fail(times=10)
        assert_refused()


def test_an_attempt_of_a_period_before_is_not_released_from_the_next_one(app, clock):
    with app.app_context():
        with attempt():
            clock.shift(15 * MINUTE)
            fail(times=9)
        fail(times=1)
        assert_refused()


def test_attempts_under_way_do_not_make_the_first_failure_the_tenth(app):
    with app.app_context(), contextlib.ExitStack() as under_way:
        for _ in range(9):
            under_way.enter_context(attempt())
        fail(times=1)
        under_way.pop_all().close()
        fail(times=9)
        assert_refused()


@pytest.mark.parametrize("failed", [0, 4, 9])
def test_attempts_of_processes_that_died_make_room_after_a_minute(failed, app, clock):
    with app.app_context():
        fail(times=failed)
        for _ in range(10 - failed):
            attempt().__enter__()  # never left
        assert_refused()
        clock.shift(LONGEST_ATTEMPT - 1)
        assert_refused()
        clock.shift(1)
        fail(times=10 - failed)
        assert_refused()
        clock.shift(15 * MINUTE)
        fail(times=10)
        assert_refused()


def test_attempts_that_end_are_not_taken_for_dead(app, clock):
    with app.app_context(), contextlib.ExitStack() as under_way:
        for _ in range(9):
            under_way.enter_context(attempt())
        with attempt():
            assert_refused()
        fail(times=1)
        assert_refused()
        clock.shift(LONGEST_ATTEMPT - 1)
        assert_refused()


def test_an_attempt_is_released_although_the_clock_was_set_back(app, clock):
    with app.app_context():
        with attempt():
            pass
        clock.shift(-30)
        for _ in range(12):
            with attempt():
                clock.shift(-30)
        fail(times=10)
        assert_refused()


def test_attempts_that_a_fault_ended_are_released_when_the_next_one_begins(app):
    with app.app_context():
        for _ in range(10):
            with pytest.raises(PoolTimeout), attempt():
                raise PoolTimeout
        assert counted() == 1
        fail(times=10)
        assert_refused()


def test_attempts_stay_to_be_released_until_the_storage_responds(app, monkeypatch):
    with app.app_context():
        with monkeypatch.context() as away, attempt():
            away.setattr(DatabaseStorage, "get_expiry", unavailable)
        with monkeypatch.context() as away:
            away.setattr(DatabaseStorage, "get_expiry", unavailable)
            with pytest.raises(OperationalError), attempt():
                pass
        assert counted() == 1
        fail(times=10)
        assert_refused()


def test_an_attempt_that_finds_no_room_is_no_failure(app):
    with app.app_context():
        with contextlib.ExitStack() as under_way:
            for _ in range(10):
                under_way.enter_context(attempt())
            for _ in range(5):
                with pytest.raises(TooManyRequests) as refusal, attempt():
                    pass
                assert refusal.value.headers["Retry-After"] == "2"
        fail(times=10)
