"""The lockout of accounts."""

from pycoder.ratelimit import lockout
from tests.support.login_attempts import MINUTE


def test_a_try_given_back_late_does_not_make_room_for_one_more(app, clock):
    with app.app_context():
        lockout.reserve("login.account", "slow")
        clock.shift(15 * MINUTE)
        lockout.release("login.account", "slow")
        assert [lockout.reserve("login.account", "slow") for _ in range(10)] == [*range(1, 11)]
