"""The limits of second factors (``second.account``, ``second.ip``)."""

import pytest

from pycoder.audit import Event
from tests.support.login_attempts import MINUTE, visitor, wait_of
from tests.support.parameters import on_sqlite
from tests.support.second_factors import enrol, half, reset_password, second_step


@pytest.fixture
def enrolled(ada, app, clock):
    """The app and recovery codes of ada; the code of the present step is unused."""
    authenticator, codes = enrol(ada, app)
    clock.shift(30)
    return authenticator, codes


@pytest.fixture
def remembered(ada, enrolled):
    answer = second_step(ada, half(ada), code=enrolled[0].code(), remember_device=True)
    assert answer.status_code == 200
    return enrolled


def guess_code(app, authenticator, tries, ip="198.51.100.7", **fields):
    """Guess with the right password on a new device; return the statuses.

    ``recovery_code`` is guessed in place of codes.
    """
    stranger, statuses = visitor(app, ip=ip), []
    stranger.password = fields.pop("password", stranger.password)
    while len(statuses) < tries:
        ticket = half(stranger)
        for _ in range(min(5, tries - len(statuses))):
            factor = fields or {"code": authenticator.wrong_code()}
            answer = second_step(stranger, ticket, **factor)
            statuses.append(answer.status_code)
    return statuses


def test_ten_wrong_codes_pause_a_stranger_and_not_the_owner(ada, app, enrolled, clock, trail):
    authenticator, _ = enrolled
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    clock.shift(30)
    assert guess_code(app, authenticator, 11) == [400] * 10 + [429]
    assert trail().count(Event.SECOND_REFUSED) == 10
    stranger = visitor(app, ip="198.51.100.7")
    answer = second_step(stranger, half(stranger), code=authenticator.code())
    assert wait_of(answer) == 15 * MINUTE
    assert second_step(stranger, half(stranger), recovery_code="x").status_code == 400
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    at_home = visitor(app)  # a new device in a network of the owner
    clock.shift(30)
    assert second_step(at_home, half(at_home), code=authenticator.code()).status_code == 200


def test_a_pause_of_codes_ends_and_grows(ada, app, enrolled, clock):
    for minutes in (15, 30):
        assert guess_code(app, enrolled[0], 11) == [400] * 10 + [429]
        clock.shift(minutes * MINUTE)


def test_an_operator_and_each_reset_of_the_password_end_a_pause(
    ada, app, enrolled, clock, flask, mails
):
    authenticator, _ = enrolled
    for n in range(2):
        ip = {"ip": f"203.0.113.{n}", "password": ada.password}
        assert guess_code(app, authenticator, 11, **ip)[-1] == 429
        reset_password(ada, mails)
        assert sign_in(app, ada, authenticator) == 200
        clock.shift(30)
    assert guess_code(app, authenticator, 11, ip="203.0.113.3", password=ada.password)[-1] == 429
    assert flask("users", "unlock", ada.email).exit_code == 0
    assert sign_in(app, ada, authenticator) == 200


def sign_in(app, owner, authenticator, ip="192.0.2.1"):
    """Sign in on a new device; return the status."""
    device = visitor(app, ip=ip)
    device.password = owner.password
    return second_step(device, half(device), code=authenticator.code()).status_code


def test_a_reset_of_the_password_ends_the_limit_of_a_week_once(ada, app, enrolled, clock, mails):
    authenticator, _ = enrolled
    reset_password(ada, mails)  # which has nothing to lift
    for status in (200, 429):
        for n in range(6):
            ip = {"ip": f"203.0.113.{n}", "password": ada.password}
            guess_code(app, authenticator, 9 if n < 5 else 5, **ip)
            clock.shift(16 * MINUTE)
        assert sign_in(app, ada, authenticator, f"198.51.100.{status % 7}") == 429
        clock.shift(60 * MINUTE)  # mails with a link are limited by the hour
        reset_password(ada, mails)
        assert sign_in(app, ada, authenticator) == status


def test_a_thief_of_the_mailbox_uses_up_no_codes_of_a_known_device(
    ada, app, enrolled, clock, mails
):
    """The thief resets the password and guesses; then the owner has the mailbox again."""
    authenticator, _ = enrolled
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    for n in range(12):
        clock.shift(60 * MINUTE)
        reset_password(ada, mails)
        guess_code(app, authenticator, 9, ip=f"203.0.113.{n}", password=ada.password)
    assert guess_code(app, authenticator, 1, ip="203.0.113.99", password=ada.password) == [429]
    clock.shift(60 * MINUTE)
    reset_password(ada, mails)
    assert sign_in(app, ada, authenticator) == 429
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


@pytest.mark.parametrize("by", ["reset", "change"])
def test_a_new_password_ends_what_a_copy_of_the_device_cookie_has_counted(
    by, ada, app, enrolled, clock, mails
):
    authenticator, _ = enrolled
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    clock.shift(30)
    body = {"password": ada.password, "code": authenticator.code()}
    proof = ada.call("POST", "/api/reauthenticate/", json=body).json["proof"]
    copy = copied(ada, app)
    for _ in range(2):
        ticket = half(copy)
        for _ in range(5):
            assert second_step(copy, ticket, code=authenticator.wrong_code()).status_code == 400
    assert second_step(copy, half(copy), code=authenticator.code()).status_code == 429
    if by == "reset":
        reset_password(ada, mails)
    else:
        ada.password = "quite another pass phrase"
        body = {"proof": proof, "new_password": ada.password}
        assert ada.call("POST", "/api/password/change/", json=body).status_code == 200
    clock.shift(30)
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def copied(owner, app):
    """A thief that has the password of an account and a copy of its device cookie."""
    thief = visitor(app, ip="198.51.100.7")
    cookie = owner.client.get_cookie("device", path="/api/")
    thief.client.set_cookie("device", cookie.value, path="/api/")
    thief.password = owner.password
    return thief


def test_the_first_login_after_a_reset_replaces_the_device_cookie(ada, app, enrolled, clock, mails):
    authenticator, _ = enrolled
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    copy = copied(ada, app)
    reset_password(ada, mails)
    clock.shift(30)
    ada.client.environ_base["REMOTE_ADDR"] = "203.0.113.1"
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    cookies = {one.client.get_cookie("device", path="/api/").value for one in (ada, copy)}
    assert len(cookies) == 2
    for _ in range(11):
        copy.try_login(password="some other pass phrase")
    clock.shift(30)
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def test_wrong_passwords_and_wrong_codes_count_apart(ada, app, enrolled, clock):
    authenticator, _ = enrolled
    assert guess_code(app, authenticator, 11)[-1] == 429
    stranger = visitor(app, ip="198.51.100.7")
    for _ in range(10):
        assert stranger.try_login(password="some other pass phrase").status_code == 400
    assert stranger.try_login().status_code == 429
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200


def test_sessions_of_a_remembered_device_share_one_count_of_wrong_codes(
    ada, app, remembered, clock
):
    """A remembered device and the password make any number of sessions, in any network."""
    authenticator, statuses = remembered[0], []
    for n in range(12):
        ada.client.environ_base["REMOTE_ADDR"] = f"203.0.113.{n}"
        ada.login()
        body = {"password": ada.password, "code": authenticator.wrong_code()}
        statuses.append(ada.call("POST", "/api/reauthenticate/", json=body).status_code)
    assert statuses == [400] * 10 + [429] * 2
    ada.client.delete_cookie("device", path="/api/")
    statuses = []
    for n in range(12):
        ada.client.environ_base["REMOTE_ADDR"] = f"203.0.113.{n}"
        body = {"password": ada.password, "code": authenticator.wrong_code()}
        statuses.append(ada.call("POST", "/api/reauthenticate/", json=body).status_code)
    assert statuses == [400] * 10 + [429] * 2


@on_sqlite
def test_second_steps_of_one_network_are_limited(ada, app_with, app, enrolled):
    app = app_with(RATE_LIMITS="second.ip=3/5minute")
    stranger = visitor(app, ip="198.51.100.7")
    answers = [second_step(stranger, "x" * 43, code="123456").status_code for _ in range(4)]
    assert answers == [400, 400, 400, 429]
    answer = stranger.client.post("/api/login/enrol/", json={"ticket": "x" * 43})
    assert answer.status_code == 429


WEEK = 7 * 24 * 60 * MINUTE


def test_fifty_wrong_codes_in_a_week_end_the_guesses_of_a_patient_stranger(
    ada, app, enrolled, clock, trail
):
    authenticator, codes = enrolled
    for _ in range(5):
        assert guess_code(app, authenticator, 9) == [400] * 9
        clock.shift(16 * MINUTE)
    assert guess_code(app, authenticator, 6) == [400] * 5 + [429]
    assert trail().count(Event.LIMIT_REACHED) == 1
    stranger = visitor(app, ip="198.51.100.7")
    refused = second_step(stranger, half(stranger), code=authenticator.code())
    assert wait_of(refused) == WEEK - 5 * 16 * MINUTE
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    answer = second_step(stranger, half(stranger), recovery_code=codes[0])
    assert answer.status_code == 200


def test_a_stranger_with_the_password_stops_no_recovery_code(ada, app, enrolled, trail):
    """Nobody can guess one, so nobody has to be stopped for the account."""
    assert guess_code(app, None, 60, recovery_code="x") == [400] * 60
    assert trail().count(Event.SECOND_REFUSED) == 1
    guess_code(app, None, 1, recovery_code="x", ip="203.0.113.8")
    assert trail().count(Event.SECOND_REFUSED) == 2
    owner = visitor(app, ip="203.0.113.9")
    assert second_step(owner, half(owner), recovery_code=enrolled[1][0]).status_code == 200


def test_a_stranger_with_the_password_takes_no_ticket_from_a_known_device(
    ada, app, remembered, clock
):
    authenticator, _ = remembered
    clock.shift(30)
    assert ada.call("DELETE", "/api/devices/").status_code == 204
    ticket = half(ada)
    for _ in range(7):
        half(visitor(app, ip="198.51.100.7"))
    assert second_step(ada, ticket, code=authenticator.code()).status_code == 200


def test_a_stranger_with_the_password_takes_no_ticket_from_another_network(ada, app, enrolled):
    owner = visitor(app, ip="203.0.113.9")
    ticket = half(owner)
    for _ in range(7):
        half(visitor(app, ip="198.51.100.7"))
    assert second_step(owner, ticket, code=enrolled[0].code()).status_code == 200


@pytest.mark.parametrize("by", ["change", "operator"])
def test_a_new_password_ends_what_a_thief_of_the_former_one_has_counted(
    by, ada, app, enrolled, clock, flask
):
    authenticator, _ = enrolled
    assert guess_code(app, authenticator, 11)[-1] == 429
    new = "quite another pass phrase"
    if by == "change":
        body = {"password": ada.password, "code": authenticator.code()}
        proof = ada.call("POST", "/api/reauthenticate/", json=body).json["proof"]
        body = {"proof": proof, "new_password": new}
        assert ada.call("POST", "/api/password/change/", json=body).status_code == 200
    else:
        done = flask("users", "set-password", "ada", "--password-stdin", stdin=new)
        assert done.exit_code == 0
    clock.shift(30)
    owner = visitor(app, ip="203.0.113.9")
    owner.password = new
    assert second_step(owner, half(owner), code=authenticator.code()).status_code == 200


def test_a_device_of_before_the_first_factor_is_a_stranger_after(ada, app, clock):
    thief = visitor(app, ip="198.51.100.7")
    assert thief.try_login().status_code == 200
    authenticator, _ = enrol(ada, app)
    assert guess_code(app, authenticator, 11)[-1] == 429
    clock.shift(30)
    answer = second_step(thief, half(thief), code=authenticator.code())
    assert answer.status_code == 429
