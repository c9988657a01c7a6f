"""Clocks that are set: a minute back or ahead signs nobody out, and revives nothing."""

import pytest

from pycoder.sessions import pruning
from tests.support.forgeries import NOW
from tests.support.refusals import assert_accepted, assert_refused, assert_revoked

MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.fixture
def set_clock(clock):
    """Return a function that sets the clock to so many seconds after ``NOW``."""
    return lambda seconds: clock.move_to(NOW + seconds)


@pytest.fixture
def prune(app):
    """Return a function that prunes, as a node whose clock is ahead does."""

    def prune():
        with app.app_context():
            return pruning.prune()

    return prune


@pytest.mark.parametrize("step", [-DAY, -HOUR, -MINUTE, MINUTE, HOUR - 1])
def test_a_clock_that_is_set_signs_nobody_out(set_clock, ada, step):
    set_clock(step)
    assert_accepted(ada)
    refresh = ada.tokens.refresh
    for seconds in (step, 0, step):
        set_clock(seconds)
        rotated = ada.refresh(refresh).json
        assert ada.user(rotated["access"]).status_code == 200
        refresh = rotated["refresh"]
    assert ada.logout(rotated["access"]).status_code == 204


@pytest.mark.parametrize("step", [-MINUTE, MINUTE])
def test_a_lost_answer_is_repeated_after_the_clock_was_set(set_clock, ada, step):
    first, key = ada.tokens.refresh, "a-key-of-the-client"
    rotated = ada.refresh(first, key=key).json
    set_clock(step)
    again = ada.refresh(first, key=key).json
    assert again["refresh"] == rotated["refresh"]
    assert ada.refresh(again["refresh"]).status_code == 200
    assert_refused(ada.refresh(first, key=key), "token_reused")


def test_what_was_revoked_stays_so_when_the_clock_is_set_back(set_clock, ada, prune):
    alone, over, rotated = ada.login(), ada.login(), ada.login()
    assert ada.revoke(alone.access).status_code == 200
    assert ada.logout(over.access).status_code == 204
    assert ada.refresh(rotated.refresh).status_code == 200
    for step in (2 * HOUR - 1, -MINUTE, 0):
        set_clock(step)
        prune()
    assert_refused(ada.user(alone.access), "token_revoked")
    assert_revoked(ada, *over)
    assert_refused(ada.refresh(rotated.refresh), "token_reused")


def test_a_session_outlives_a_node_whose_clock_is_ahead(set_clock, ada, prune):
    set_clock(7 * DAY + HOUR - 1)
    prune()
    set_clock(7 * DAY - 1)
    assert ada.refresh().status_code == 200


def test_a_sign_in_after_the_clock_was_set_back_is_not_the_surplus(set_clock, setting, ada):
    setting("SESSIONS_PER_USER", 2)
    ada.login()
    set_clock(-MINUTE)
    for _ in range(2):
        ada.login()
        assert_accepted(ada)


def test_a_lockout_lasts_when_the_clock_is_set_back(set_clock, ada):
    for _ in range(10):
        ada.try_login(password="not the password")
    set_clock(-MINUTE)
    answer = ada.try_login()
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) <= 16 * MINUTE
    set_clock(15 * MINUTE)
    assert ada.try_login().status_code == 200


def test_a_limited_session_goes_on_a_period_later_by_either_clock(set_clock, ada):
    refresh = ada.tokens.refresh
    for _ in range(60):
        refresh = ada.refresh(refresh).json["refresh"]
    set_clock(-MINUTE)
    answer = ada.refresh(refresh)
    assert (answer.status_code, int(answer.headers["Retry-After"])) == (429, 2 * MINUTE)
    set_clock(MINUTE)
    assert ada.refresh(refresh).status_code == 200
