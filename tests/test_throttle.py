"""Limits: reached, counted once for all workers and nodes, and never left out."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import cycle, islice

import pytest
import time_machine
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import OperationalError

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OutgoingMail
from pycoder.models.rate_limit import RateLimit
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.passwords.hashing import hash_password
from pycoder.ratelimit import limiter, lockout
from pycoder.ratelimit.storage import DatabaseStorage
from tests.callers import PASSWORD, Caller, Tokens, free_port, running_redis

WRONG = "this is not the password"
MINUTE = 60

in_a_fleet = pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
# Before a database is asked, one kind of it is enough.
at_the_door = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")


@pytest.fixture
def clock():
    """Stop the clock at a whole second, so that every wait is a whole number of them."""
    with time_machine.travel(now().replace(microsecond=0), tick=False) as stopped:
        yield stopped


@pytest.fixture
def app_with(app, new_app):
    """Return a function that makes the application with other settings, on the same database."""
    return partial(new_app, DATABASE_URL=app.config["DATABASE_URL"])


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


# What each limit counts: how to try it, and how it is answered before the limit.


def guess_one_account(app, ada, n):
    return guess(app, ip=f"10.0.0.{n}")


def guess_many_accounts(app, ada, n):
    return guess(app, f"nobody{n}@example.com")


def register(app, ada, n):
    return visitor(app, f"new{n}@example.com", "10.0.0.1").register()


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
    "refresh.session": (refresh, 200),
    "introspect.ip": (introspect, 401),
}
DEFAULTS = {
    "login.account": (10, 15 * MINUTE),
    "login.ip": (100, 5 * MINUTE),
    "register.ip": (30, 60 * MINUTE),
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


@at_the_door
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


# login.ip: tries from one address


def test_an_address_counts_tries_and_a_success_does_not_clear_it(ada, app_with, clock):
    app = app_with(RATE_LIMITS="login.ip=5/minute")
    for _ in range(2):
        assert guesses(2, app, "nobody@example.com") == [400, 400]
        assert [visitor(app).try_login().status_code for _ in range(3)] == [200] * 3
        assert wait_of(visitor(app).try_login()) == MINUTE
        assert visitor(app, ip="10.0.0.1").try_login().status_code == 200
        clock.shift(MINUTE)


def test_an_account_has_no_more_proofs_than_an_address_has_logins_in_however_many_sessions(
    ada, app_with, trail
):
    app = app_with(RATE_LIMITS="login.ip=3/minute")

    def prove(n):
        caller = visitor(app, ip=f"10.0.0.{n}")
        caller.login()
        body = {"email": f"ada{n}@example.org", "password": PASSWORD}
        return caller.call("POST", "/api/email/change/", json=body)

    assert [prove(n).status_code for n in range(3)] == [202] * 3
    assert wait_of(prove(3)) == MINUTE
    assert trail()[-1] == Event.LIMIT_REACHED
    assert visitor(app, ip="10.0.0.9").try_login().status_code == 200


@at_the_door
def test_one_password_sprayed_over_many_accounts_is_stopped_at_its_address(app, clock, rows):
    emails = [f"user{n}@example.com" for n in range(200)]
    with app.app_context():
        hashed = hash_password(PASSWORD)
        for email in emails:
            keys = {"email_key": email, "username": email, "username_key": email}
            db.session.add(User(email=email, password_hash=hashed, **keys))
        db.session.commit()
    answers = [guess(app, email) for email in emails]
    assert [answer.status_code for answer in answers] == [400] * 100 + [429] * 100
    assert wait_of(answers[-1]) == 5 * MINUTE
    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(refused) == [100]


@at_the_door
def test_many_addresses_do_not_get_around_the_limit_of_an_account(ada, app_with, rows):
    app = app_with(TRUSTED_PROXIES="1")
    addresses = [f"203.0.113.{n}" for n in range(200)]
    answers = [guess(app, x_forwarded_for=address).status_code for address in addresses]
    assert answers == [400] * 10 + [429] * 190
    tried = select(AuditEvent.ip).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(tried) == addresses[:10]


@at_the_door
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_forwarded_for", "203.0.113.{}"),
        ("x_real_ip", "203.0.113.{}"),
        ("forwarded", "for=203.0.113.{}"),
        ("x_client_ip", "203.0.113.{}"),
        ("true_client_ip", "203.0.113.{}"),
        ("cf_connecting_ip", "203.0.113.{}"),
        ("x_forwarded_host", "{}.example.com"),
    ],
)
def test_a_direct_client_is_counted_as_its_peer_whatever_it_sends(header, value, app_with, rows):
    app = app_with(RATE_LIMITS="login.ip=3/minute")
    answers = [guess(app, f"no{n}@example.com", **{header: value.format(n)}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 3 + [429] * 3
    assert set(rows(select(AuditEvent.ip))) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "believed"),
    [
        pytest.param(0, "127.0.0.1", "203.0.113.7", "127.0.0.1", id="no proxy to believe"),
        pytest.param(1, "10.0.0.1", "203.0.113.7", "203.0.113.7", id="one proxy"),
        pytest.param(1, "10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7", id="the last of two"),
        pytest.param(
            2, "10.0.0.1", "1.1.1.1,203.0.113.7 ,10.0.0.2", "203.0.113.7", id="second from right"
        ),
        pytest.param(2, "10.0.0.1", "203.0.113.7", "10.0.0.1", id="fewer entries than proxies"),
        pytest.param(1, "10.0.0.1", "", "10.0.0.1", id="nothing forwarded"),
        pytest.param(1, "10.0.0.1", "unknown", "10.0.0.1", id="no address"),
        pytest.param(1, "10.0.0.1", "203.0.113.7, ", "10.0.0.1", id="an empty entry"),
        pytest.param(1, "10.0.0.1", "2001:DB8:0::7", "2001:db8::7", id="IPv6 in short"),
        pytest.param(1, "::1", "203.0.113.7", "203.0.113.7", id="an IPv6 proxy"),
        pytest.param(1, "8.8.8.8", "203.0.113.7", "8.8.8.8", id="a peer on the open internet"),
        pytest.param(
            1, "2001:4860:4860::8888", "203.0.113.7", "2001:4860:4860::8888", id="so in IPv6"
        ),
        pytest.param(1, "::ffff:8.8.8.8", "203.0.113.7", "::ffff:8.8.8.8", id="so IPv4-mapped"),
        pytest.param(1, "10.0.0.1", f"fe80::1%{'x' * 60}", "fe80::1", id="an endless zone"),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_there_are_proxies(
    proxies, peer, forwarded, believed, app, setting, rows
):
    setting("TRUSTED_PROXIES", proxies)
    assert guess(app, ip=peer, x_forwarded_for=forwarded).status_code == 400
    assert rows(select(AuditEvent.ip)) == [believed]


@at_the_door
@pytest.mark.parametrize(
    ("one", "other", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "same"),
        ("192.0.2.1", "192.0.2.2", "another"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "same"),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", "another"),
        ("::ffff:192.0.2.1", "192.0.2.1", "same"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "another"),
    ],
)
def test_ipv6_counts_by_its_64_bits_and_mapped_ipv4_as_ipv4(one, other, network, app_with):
    app = app_with(RATE_LIMITS="login.ip=1/minute;register.ip=1/minute")
    assert guess(app, ip=one).status_code == 400
    assert guess(app, ip=other).status_code == {"same": 429, "another": 400}[network]
    assert visitor(app, "one@example.com", one).register().status_code == 201
    answer = visitor(app, "other@example.com", other).register()
    assert answer.status_code == {"same": 429, "another": 201}[network]


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


# DatabaseStorage: the counters themselves


@pytest.fixture
def storage(app):
    with app.app_context():
        yield DatabaseStorage()


def test_a_counter_starts_again_when_it_has_expired(storage, clock):
    start = now().timestamp()
    assert [storage.incr("key", 60) for _ in range(3)] == [1, 2, 3]
    clock.shift(59)
    assert (storage.incr("key", 60), storage.get_expiry("key")) == (4, start + 60)
    clock.shift(1)
    assert (storage.get("key"), storage.get_expiry("key")) == (0, start + 60)
    assert (storage.incr("key", 60), storage.get_expiry("key")) == (1, start + 120)


def test_counters_can_be_cleared_one_by_one_and_together(storage):
    for key in ("one", "two", "three"):
        storage.incr(key, 60)
    storage.clear("one")
    assert [storage.get(key) for key in ("one", "two", "three")] == [0, 1, 1]
    assert storage.reset() == 2
    assert storage.get("two") == 0
    assert storage.check() is True


def test_new_counters_take_the_place_of_expired_ones(storage, clock, rows):
    for wave in range(4):
        for n in range(30):
            storage.incr(f"{wave}/{n}", 60)
        assert rows(select(func.count(RateLimit.key))) == [30]
        clock.shift(60)


def test_increments_of_many_threads_are_all_counted(app):
    def increment(_):
        with app.app_context():
            storage = DatabaseStorage()
            return [storage.incr("key", 600) for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        counts = [count for part in pool.map(increment, range(8)) for count in part]
    assert sorted(counts) == list(range(1, 401))


def test_increments_of_an_expired_counter_start_it_again_once(app, clock):
    barrier = threading.Barrier(8)

    def increment(_):
        with app.app_context():
            barrier.wait()
            return DatabaseStorage().incr("key", 60)

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(increment, range(8))) == list(range(1, 9))
        clock.shift(60)


@in_a_fleet
def test_pruning_spares_a_counter_that_starts_again_at_that_moment(app, storage, clock):
    """SQLite has one writer at a time; PostgreSQL does not, and judges a changed row again."""
    storage.incr("old", 60)
    clock.shift(60)

    def start_another():
        with app.app_context():
            return DatabaseStorage().incr("new", 60)

    def somebody_waits():
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with db.engine.connect() as connection:
            return connection.execute(text(waiting)).scalar_one()

    again = {"count": 7, "expires_at": now().timestamp() + 60}
    with db.engine.connect() as another, ThreadPoolExecutor(1) as pool:
        another.execute(update(RateLimit).where(RateLimit.key == "old").values(again))
        started = pool.submit(start_another)
        while not started.done() and not somebody_waits():
            time.sleep(0.01)
        another.commit()
        assert started.result() == 1
    assert storage.get("old") == 7


def test_a_try_given_back_late_does_not_make_room_for_one_more(app, clock):
    with app.app_context():
        lockout.reserve("login.account", "slow")
        clock.shift(15 * MINUTE)
        lockout.release("login.account", "slow")
        assert [lockout.reserve("login.account", "slow") for _ in range(10)] == [*range(1, 11)]


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
    def fail(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO audit_events"):
            raise OperationalError(statement, None, Exception("the disk is full"))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", fail)
    try:
        assert [visitor(app).try_login().status_code for _ in range(11)] == [503] * 11
        assert guesses(12, app, "nobody@example.com") == [503] * 10 + [429] * 2
    finally:
        event.remove(engine, "before_cursor_execute", fail)
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
