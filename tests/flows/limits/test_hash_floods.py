"""How many hashes one session, one link and one account can have under way."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pycoder.passwords.pool import HashingPool
from tests.support.callers import Caller
from tests.support.clocks import until
from tests.support.login_attempts import guess, visitor, wait_of
from tests.support.password_calls import NEW, ask, change, confirm

CROWD = 20


@pytest.fixture
def stalled(app, monkeypatch):
    """A hashing pool whose only thread is busy until the event is set."""
    pool, free = HashingPool(threads=1, waiting=2 * CROWD, patience=60), threading.Event()
    monkeypatch.setitem(app.extensions, "pycoder.hashing", pool)
    busy = threading.Thread(target=pool.run, args=(partial(free.wait, 60),))
    busy.start()
    yield free
    free.set()
    busy.join()


@pytest.fixture
def link(ada, mails):
    mails()
    ask(ada)
    [mail] = mails()
    return mail.token


def signed_in(app, ada):
    caller = Caller(app.test_client())
    caller.tokens = ada.tokens
    return caller


CALLS = {
    "a link": (3, lambda app, ada, link, n: confirm(visitor(app), link, f"{NEW} {n}")),
    "a session": (10, lambda app, ada, link, n: change(signed_in(app, ada), new=f"{NEW} {n}")),
    "an account": (10, lambda app, ada, link, n: guess(app)),
    "no account": (10, lambda app, ada, link, n: guess(app, "nobody@example.com")),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_surplus_of_a_crowd_waits_for_no_hash(name, app, ada, link, stalled):
    room, call = CALLS[name]
    with ThreadPoolExecutor(CROWD) as pool:
        calls = [pool.submit(call, app, ada, link, n) for n in range(CROWD)]
        until(lambda: sum(one.done() for one in calls) == CROWD - room)
        assert {wait_of(one.result()) for one in calls if one.done()} == {2}
        stalled.set()
    answers = [one.result().status_code for one in calls]
    assert answers.count(429) == CROWD - room
    if name in ("a link", "a session"):
        assert [answer for answer in answers if answer < 300] == [204 if name == "a link" else 200]


def test_every_call_that_hashes_counts_for_its_address(ada, app_with, mails):
    mails()
    ask(ada)
    token = mails()[0].token
    app = app_with(RATE_LIMITS="login.ip=2/hour")
    caller = visitor(app, ip="10.0.0.1")
    caller.tokens = ada.tokens
    assert [change(caller, "wrong").status_code for _ in range(3)] == [400, 400, 429]
    assert caller.try_login().status_code == 429
    assert confirm(caller, token).status_code == 429
    assert confirm(visitor(app, ip="10.0.0.2"), token).status_code == 204


def test_a_link_and_a_password_that_are_no_good_wait_for_no_hash(app, link, stalled):
    assert confirm(visitor(app), link, "short").json["code"] == "validation_error"
    assert confirm(visitor(app), "x" * 43).json["code"] == "link_invalid"
