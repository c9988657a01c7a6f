"""The lockout of accounts."""

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
