"""The lockout of an account after failed logins (``login.account``)."""

import hashlib
from datetime import timedelta
from itertools import cycle, islice

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.rate_limit import RateLimit
from tests.support.login_attempts import MINUTE, guess, guesses, visitor, wait_of
from tests.support.parameters import on_sqlite
from tests.support.password_calls import ask

# login.account: failures of one account


def test_failures_count_and_a_success_is_given_back(ada, app):
    assert guesses(9, app) == [400] * 9
    assert [visitor(app).try_login().status_code for _ in range(15)] == [200] * 15
    assert guesses(2, app) == [400, 429]


def test_an_account_that_nobody_has_is_refused_like_one_that_somebody_has(ada, app, clock):
    answers = []
    for email in ("ada@example.com", "nobody@example.com"):
        found = [guess(app, email) for _ in range(12)]
        bodies = [{**answer.json, "request_id": ""} for answer in found]
        headers = [{k: v for k, v in answer.headers if k != "X-Request-ID"} for answer in found]
        answers.append((bodies, headers))
    assert answers[0] == answers[1]
    assert [body["status"] for body in answers[0][0]] == [400] * 10 + [429] * 2


@on_sqlite
@pytest.mark.parametrize(
    "spellings",
    [
        pytest.param(["ada@example.com", "ada"], id="e-mail and username"),
        pytest.param(["ADA@Example.COM", "ada@example.com"], id="upper and lower case"),
        pytest.param(["Nobody@example.com", "nobody@EXAMPLE.com"], id="case of an unknown e-mail"),
        pytest.param(["ａｄａ@example.com", "ada@example.com"], id="full width"),
    ],
)
def test_every_spelling_of_one_account_counts_as_one(spellings, ada, app):
    tried = [guess(app, email).status_code for email in islice(cycle(spellings), 11)]
    assert tried == [400] * 10 + [429]


def test_what_was_typed_is_stored_as_a_keyed_hash_only(app, rows):
    typed = "my secret password"
    assert guess(app, typed).status_code == 400
    assert ask(visitor(app), "secret@example.com").status_code == 202
    keys = " ".join(rows(select(RateLimit.key)))
    assert "login.account" in keys
    assert "reset.account" in keys
    for text in (typed, "secret@example.com"):
        assert text not in keys
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            assert hashlib.new(algorithm, text.encode()).hexdigest()[:16] not in keys


def test_a_pause_is_one_accounts_alone_and_ends(ada, bob, app, clock):
    assert guesses(10, app) == [400] * 10
    right = visitor(app)
    assert wait_of(right.try_login()) == 15 * MINUTE
    bobs = visitor(app, bob.email)
    assert bobs.try_login(password=bob.password).status_code == 200
    clock.shift(15 * MINUTE - 1)
    assert wait_of(right.try_login()) == 1
    clock.shift(1)
    assert right.try_login().status_code == 200


def test_a_paused_account_evaluates_no_password(ada, app, rows):
    guesses(15, app)
    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(refused) == [10]


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_each_pause_is_twice_as_long_as_the_one_before_up_to_an_hour(email, ada, app, clock):
    for minutes in (15, 30, 60, 60):
        assert guesses(10, app, email) == [400] * 10
        assert wait_of(guess(app, email)) == minutes * MINUTE
        clock.shift(minutes * MINUTE - 1)
        assert wait_of(guess(app, email)) == 1
        clock.shift(1)


def test_a_success_between_pauses_does_not_make_the_next_one_short(ada, app, clock):
    for minutes in (15, 30):
        guesses(10, app)
        assert wait_of(guess(app)) == minutes * MINUTE
        clock.shift(minutes * MINUTE)
        assert visitor(app).try_login().status_code == 200


def test_pauses_are_short_again_after_a_day_without_any(ada, app, clock):
    for hours in (0, 25):
        clock.shift(timedelta(hours=hours))
        guesses(10, app)
        assert wait_of(guess(app)) == 15 * MINUTE


def test_pauses_keep_growing_if_no_day_goes_by_without_one(ada, app, clock):
    for minutes in (15, 30, 60, 60):
        guesses(10, app)
        assert wait_of(guess(app)) == minutes * MINUTE
        clock.shift(timedelta(hours=13))


def test_a_pause_is_never_shorter_than_the_limits_own_period(ada, app_with, clock):
    app = app_with(RATE_LIMITS="login.account=2/3hour")
    for _ in range(2):
        assert guesses(2, app) == [400, 400]
        assert wait_of(guess(app)) == 3 * 60 * MINUTE
        clock.shift(3 * 60 * MINUTE)
