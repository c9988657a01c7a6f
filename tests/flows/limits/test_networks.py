"""Networks of an account's sessions: their failed logins count by themselves."""

import pytest

from tests.support.login_attempts import MINUTE, guess, guesses, visitor, wait_of
from tests.support.parameters import on_sqlite
from tests.support.password_calls import NEW, ask, confirm
from tests.support.statements import executed

HOME, AWAY = "127.0.0.1", "203.0.113.9"  # ada registers at home


def test_failures_from_elsewhere_do_not_lock_out_a_client_without_cookies(ada, app):
    assert guesses(11, app, ip=AWAY) == [400] * 10 + [429]
    assert visitor(app, ip=HOME).try_login().status_code == 200
    assert visitor(app, ip=AWAY).try_login().status_code == 429


def test_a_network_is_itself_limited_and_nobody_else_by_it(ada, app, clock):
    assert guesses(10, app, ip=HOME) == [400] * 10
    assert wait_of(visitor(app, ip=HOME).try_login()) == 15 * MINUTE
    assert ada.try_login().status_code == 200
    assert visitor(app, ip=AWAY).try_login().status_code == 200


def test_a_network_is_known_as_long_as_a_session_from_it_is_active(ada, bob, app):
    ada.logout(access=ada.tokens.access)
    assert guesses(6, app, ip=HOME) + guesses(5, app, ip=AWAY) == [400] * 10 + [429]
    assert visitor(app, ip=HOME).try_login().status_code == 429


@on_sqlite
@pytest.mark.parametrize(
    ("signed_in", "tried", "status"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 200),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 429),
        ("::ffff:192.0.2.1", "192.0.2.1", 200),
        ("192.0.2.1", "192.0.2.2", 429),
    ],
)
def test_a_network_is_an_ipv4_address_or_64_bits_of_ipv6(signed_in, tried, status, ada, app):
    visitor(app, ip=signed_in).login()
    assert guesses(10, app, ip=AWAY) == [400] * 10
    assert visitor(app, ip=tried).try_login().status_code == status


def unlock(ada, flask, mails):
    flask("users", "unlock", ada.email)
    return ada.password


def set_password(ada, flask, mails):
    flask("users", "set-password", ada.email, "--password-stdin", stdin=NEW)
    return NEW


def reset(ada, flask, mails):
    ask(ada)
    confirm(ada, mails()[0].token)
    return NEW


@pytest.mark.parametrize("lift", [unlock, set_password, reset])
def test_every_pause_of_an_account_is_lifted_with_it(lift, ada, app, flask, mails):
    guesses(10, app, ip=HOME)
    guesses(10, app, ip=AWAY)
    assert [ada.try_login(password="wrong").status_code for _ in range(11)] == [400] * 10 + [429]
    password = lift(ada, flask, mails)
    for caller in (ada, visitor(app, ip=HOME), visitor(app, ip=AWAY)):
        for _ in range(2):
            assert caller.try_login(password=password).status_code == 200


def test_a_stranger_that_goes_on_guessing_does_not_shut_out_the_owner_after_a_reset(
    ada, app, mails, clock
):
    """The reset has forgotten the devices and ended the sessions, so the network stands in."""
    ada.password = reset(ada, None, mails)
    guesses(11, app, ip=AWAY)
    assert visitor(app, ip="203.0.113.10").try_login(password=NEW).status_code == 429
    assert [guess(app, ip=HOME).status_code for _ in range(2)] == [400] * 2
    assert ada.try_login().status_code == 200
    ada.logout(access=ada.tokens.access)
    clock.shift(86_401)
    guesses(11, app, ip=AWAY)
    assert visitor(app, ip=HOME).try_login(password=NEW).status_code == 429


def test_a_login_executes_the_same_statements_for_an_account_that_nobody_has(ada, app):
    work = []
    for email in ("ada@example.com", "nobody@example.com"):
        with executed(app) as statements:
            assert guess(app, email).status_code == 400
        work.append(statements)
    known, unknown = ([text for text in each if "DELETE" not in text] for each in work)
    assert known == unknown != []
