"""What the owner of an account is told by mail about its second factors."""

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.models.mail import OutgoingMail
from tests.support.callers import Caller
from tests.support.second_factors import enrol, half, prove, second_step

FAILED = "Your password was entered, but a wrong code"
STRANGER = "203.0.113.7"


@pytest.fixture
def factors(ada, app, clock, mails):
    mails()
    return enrol(ada, app)


@pytest.fixture
def stranger(app):
    """A caller that knows the password, on another device in another network."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = STRANGER
    return Caller(client)


def subjects(mails):
    return [(mail.to, mail.subject) for mail in mails()]


def test_the_owner_is_told_that_an_app_was_added_and_removed(ada, factors, clock, mails):
    authenticator, _ = factors
    assert subjects(mails) == [(ada.email, "Two-step sign-in: an authenticator app was added")]
    clock.shift(30)
    proof = prove(ada, code=authenticator.code())
    assert ada.call("DELETE", "/api/factors/totp/", json={"proof": proof}).status_code == 204
    [mail] = mails()
    assert mail.subject == "Two-step sign-in: an authenticator app was removed"
    assert "From: 127.0.0.1" in mail.text


def test_a_mail_says_how_many_recovery_codes_are_left(ada, factors, mails):
    _, codes = factors
    mails()
    texts = []
    for code in codes:
        assert second_step(ada, half(ada), recovery_code=code).status_code == 200
        [mail] = mails()
        assert mail.subject == "A recovery code of your account was used"
        texts.append(mail.text.replace("\r\n", "\n"))
        assert texts[-1].split("\n\n")[1].strip() in mail.html
    assert "\n\nYou have 9 recovery codes left.\n\n" in texts[0]
    assert "\n\nYou have one recovery code left." in texts[8]
    assert "\n\nYou have no recovery code left." in texts[9]
    assert not any(code in text for code in codes for text in texts)


def test_the_owner_is_told_of_new_recovery_codes(ada, factors, clock, mails):
    authenticator, _ = factors
    clock.shift(30)
    proof = prove(ada, code=authenticator.code())
    mails()
    answer = ada.call("POST", "/api/factors/recovery-codes/", json={"proof": proof})
    assert answer.status_code == 200
    [mail] = mails()
    assert (mail.to, mail.subject) == (ada.email, "New recovery codes were created")
    assert not any(code in mail.text for code in answer.json["recovery_codes"])


def test_two_codes_that_are_used_before_their_mails_are_sent_have_a_mail_each(
    ada, factors, mails, rows
):
    _, codes = factors
    mails()
    for code in codes[:2]:
        assert second_step(ada, half(ada), recovery_code=code).status_code == 200
    assert rows(select(OutgoingMail.numbers)) == [{"codes_left": 9}, {"codes_left": 8}]
    export = ada.get("/api/user/export/").json
    assert [mail["numbers"] for mail in export["mails"]] == [{"codes_left": 9}, {"codes_left": 8}]
    told = [mail.text for mail in mails()]
    assert ["9 recovery codes" in told[0], "8 recovery codes" in told[1]] == [True, True]


def test_the_owner_is_told_once_a_day_that_another_person_knows_the_password(
    ada, factors, stranger, clock, mails
):
    authenticator, _ = factors
    mails()
    for _ in range(3):
        wrong = second_step(stranger, half(stranger), code=authenticator.wrong_code())
        assert wrong.json["code"] == "invalid_code"
    [mail] = mails()
    assert (mail.to, mail.subject) == (ada.email, FAILED)
    assert f"From: {STRANGER}" in mail.text
    clock.shift(86_399)
    second_step(stranger, half(stranger), code=authenticator.wrong_code())
    assert mails() == []
    clock.shift(1)
    second_step(stranger, half(stranger), code=authenticator.wrong_code())
    assert subjects(mails) == [(ada.email, FAILED)]


def test_a_stranger_with_a_wrong_recovery_code_is_reported_too(ada, factors, stranger, mails):
    mails()
    wrong = second_step(stranger, half(stranger), recovery_code="0000-0000-0000-0000-0000-0000")
    assert wrong.json["code"] == "invalid_code"
    assert subjects(mails) == [(ada.email, FAILED)]


def test_a_stranger_who_guesses_at_a_proof_is_reported_too(ada, factors, stranger, mails):
    """The thief has an access token and the password."""
    authenticator, _ = factors
    stranger.tokens = ada.tokens
    mails()
    wrong = {"password": ada.password, "code": authenticator.wrong_code()}
    for caller in (stranger, stranger, ada):
        answer = caller.call("POST", "/api/reauthenticate/", json=wrong)
        assert answer.json["code"] == "invalid_code"
    [mail] = mails()
    assert (mail.to, mail.subject) == (ada.email, FAILED)
    assert f"From: {STRANGER}" in mail.text


def test_the_owner_who_mistypes_a_code_gets_no_mail(ada, app, factors, trail, mails):
    authenticator, _ = factors
    mails()
    known_network = Caller(app.test_client(use_cookies=False))  # ada has a session from there
    elsewhere = Caller(ada.client)
    for caller in (ada, known_network):
        second_step(caller, half(caller), code=authenticator.wrong_code())
    elsewhere.client.environ_base["REMOTE_ADDR"] = STRANGER  # the known device, in a new network
    second_step(elsewhere, half(elsewhere), code=authenticator.wrong_code())
    assert trail()[-1] == Event.SECOND_REFUSED
    assert trail().count(Event.SECOND_REFUSED) == 3
    assert mails() == []


def test_a_right_password_without_a_second_step_is_on_the_trail_alone(
    ada, factors, stranger, trail, mails
):
    mails()
    half(stranger)
    assert trail()[-1] == Event.LOGIN_HALF
    assert mails() == []


def test_half_logins_push_nothing_out_of_the_activity(ada, factors, stranger, clock, trail):
    before = trail().count(Event.LOGIN_HALF)
    for caller, count in ((stranger, 1), (ada, 2), (stranger, 2)):
        for _ in range(3):
            half(caller)
        assert trail().count(Event.LOGIN_HALF) == before + count
    clock.shift(3601)
    half(stranger)
    assert trail().count(Event.LOGIN_HALF) == before + 3
