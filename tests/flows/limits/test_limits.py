"""The limits: reached, told, recorded, counted in Redis and in memory, and never left out."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OutgoingMail
from pycoder.models.rate_limit import RateLimit
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.ratelimit import limiter
from tests.support.callers import Tokens
from tests.support.login_attempts import MINUTE, guess, guesses, visitor, wait_of
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.statements import before_statements

# What each limit counts: how to try it, and how it is answered before the limit.


def guess_one_account(app, ada, n):
    return guess(app, ip=f"10.0.0.{n}")


def guess_many_accounts(app, ada, n):
    return guess(app, f"nobody{n}@example.com")


def register(app, ada, n):
    return visitor(app, f"new{n}@example.com", "10.0.0.1").register()


def register_badly(app, ada, n):
    return visitor(app, f"new{n}@example.com", "10.0.0.1").register(password="short")


def change_profile(app, ada, n):
    if ada.user().status_code == 401:  # after an hour
        ada.login()
    body = {"first_name": f"Ada {n}"}
    return visitor(app).call("PATCH", "/api/user/", ada.tokens.access, json=body)


def refresh(app, ada, n):
    caller = visitor(app)
    response = caller.refresh(ada.tokens.refresh)
    if response.status_code == 200:
        ada.tokens = Tokens(**response.json)
    return response


def introspect(app, ada, n):
    path, body = "/api/token/introspect/", {"token": ada.tokens.access}
    return app.test_client().post(path, json=body, auth=(f"service{n}", "x"))


TRIES = {
    "login.account": (guess_one_account, 400),
    "login.ip": (guess_many_accounts, 400),
    "register.ip": (register, 201),
    "register.form.ip": (register_badly, 400),
    "account.writes": (change_profile, 200),
    "refresh.session": (refresh, 200),
    "introspect.ip": (introspect, 401),
}
DEFAULTS = {
    "login.account": (10, 15 * MINUTE),
    "login.ip": (100, 5 * MINUTE),
    "register.ip": (30, 60 * MINUTE),
    "register.form.ip": (100, 60 * MINUTE),
    "account.writes": (60, 60 * MINUTE),
    "refresh.session": (60, MINUTE),
    "introspect.ip": (100, 5 * MINUTE),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_limit_lets_so_many_through_and_tells_the_next_how_long_to_wait(name, ada, app, clock):
    attempt, passes = TRIES[name]
    allowed, seconds = DEFAULTS[name]
    assert [attempt(app, ada, n).status_code for n in range(allowed)] == [passes] * allowed
    assert wait_of(attempt(app, ada, 200)) == seconds
    clock.shift(seconds - 1)
    assert wait_of(attempt(app, ada, 201)) == 1
    clock.shift(1)
    assert attempt(app, ada, 202).status_code == passes


@pytest.mark.parametrize("name", TRIES)
def test_the_first_refusal_over_a_limit_is_on_record_and_the_others_are_not(
    name, ada, app_with, clock, rows
):
    attempt, passes = TRIES[name]
    app = app_with(RATE_LIMITS=f"{name}=2/minute")
    reached = select(AuditEvent.reason).where(AuditEvent.event == Event.LIMIT_REACHED)
    for times in (1, 2):
        answers = [attempt(app, ada, n + 10 * times).status_code for n in range(5)]
        assert answers == [passes, passes, 429, 429, 429]
        assert rows(reached) == [name] * times
        clock.shift(2 * MINUTE)


@pytest.mark.parametrize("name", TRIES)
def test_a_limit_can_be_changed_alone(name, ada, app_with, clock):
    attempt, passes = TRIES[name]
    app = app_with(RATE_LIMITS=f"{name}=3/2hour")
    answers = [attempt(app, ada, n) for n in range(4)]
    assert [answer.status_code for answer in answers] == [passes] * 3 + [429]
    assert wait_of(answers[-1]) == 120 * MINUTE
    with app.app_context():
        others = {
            n: limit.amount for n, limit in limiter.current_limits().items.items() if n != name
        }
    assert others.items() >= {n: DEFAULTS[n][0] for n in DEFAULTS if n != name}.items()


def test_limits_that_are_off_count_nothing(ada, app_with, rows):
    app = app_with(RATE_LIMITS="off")
    before = rows(select(RateLimit.key))
    assert guesses(15, app) == [400] * 15
    assert {refresh(app, ada, n).status_code for n in range(61)} == {200}
    assert rows(select(RateLimit.key)) == before
    assert rows(select(Session.window_count)) == [1]


# What the limits leave behind


def test_what_was_typed_as_the_e_mail_is_not_stored(app, rows):
    typed = "my-password-in-the-wrong-field"
    guesses(12, app, typed)
    keys = rows(select(RateLimit.key))
    assert len(keys) == 4  # the address, the account, its pause and how many there were
    assert not [key for key in keys if typed in key]


def test_refusing_a_refresh_leaves_the_token_and_its_session_good(ada, app_with, clock, rows):
    app = app_with(RATE_LIMITS="refresh.session=2/minute")
    assert [refresh(app, ada, n).status_code for n in range(2)] == [200, 200]
    for _ in range(3):
        wait_of(refresh(app, ada, 0))
        assert visitor(app).user(ada.tokens.access).status_code == 200
    clock.shift(MINUTE)
    assert refresh(app, ada, 0).status_code == 200
    assert rows(select(Session.revoked_at)) == [None]


def test_each_session_has_refreshes_of_its_own(ada, app_with):
    app = app_with(RATE_LIMITS="refresh.session=1/minute")
    phone = visitor(app)
    phone.login()
    assert [refresh(app, caller, 0).status_code for caller in (ada, phone)] == [200, 200]
    assert [refresh(app, caller, 0).status_code for caller in (ada, phone)] == [429, 429]


# Redis


def test_without_its_redis_nobody_gets_in_and_with_it_everybody_does(ada, app_with, tmp_path, rows):
    port = free_port()
    app = app_with(RATE_LIMIT_STORAGE=f"redis://127.0.0.1:{port}/0")
    before = rows(select(func.count(AuditEvent.id)))
    answers = [visitor(app).try_login(), visitor(app, "new@example.com").register()]
    for answer in answers:
        assert (answer.status_code, answer.json["code"]) == (503, "limits_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "redis" not in answer.text.lower()
        assert "Set-Cookie" not in answer.headers
    assert rows(select(func.count(AuditEvent.id))) == before
    assert rows(select(User.email)) == ["ada@example.com"]
    with running_redis(tmp_path, port) as client:
        assert visitor(app).try_login().status_code == 200
        assert client.dbsize() == 2
    assert visitor(app).try_login().status_code == 503


def test_one_worker_may_count_in_its_memory(ada, app_with, clock, rows):
    app = app_with(RATE_LIMIT_STORAGE="memory:", WEB_CONCURRENCY="1")
    before = rows(select(RateLimit.key))
    assert guesses(9, app) == [400] * 9
    assert visitor(app).try_login().status_code == 200
    assert guesses(1, app) == [400]
    assert wait_of(visitor(app).try_login()) == 15 * MINUTE
    clock.shift(15 * MINUTE)
    assert visitor(app).try_login().status_code == 200
    assert rows(select(RateLimit.key)) == before


def test_a_fault_of_the_database_is_no_failed_login_and_opens_no_way_around_the_limit(ada, app):
    def fail(statement):
        if statement.startswith("INSERT INTO audit_events"):
            raise OperationalError(statement, None, Exception("the disk is full"))

    with before_statements(app, fail):
        assert [visitor(app).try_login().status_code for _ in range(11)] == [503] * 11
        assert guesses(12, app, "nobody@example.com") == [503] * 10 + [429] * 2
    assert visitor(app).try_login().status_code == 200


def test_resets_asked_from_one_address_are_dropped_over_the_limit(app, clock, rows):
    waiting = select(func.count(OutgoingMail.id))
    for times in (1, 2):
        for n in range(32):
            body = {"email": f"somebody{n}-{times}@example.com"}
            answer = app.test_client().post("/api/password/reset/", json=body)
            assert (answer.status_code, answer.json) == (202, {})
        assert rows(waiting) == [30 * times]
        reached = rows(select(AuditEvent.reason).where(AuditEvent.event == Event.LIMIT_REACHED))
        assert reached == ["reset.ip"] * times
        clock.shift(60 * MINUTE)
