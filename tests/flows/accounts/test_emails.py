"""The e-mail address: verified, changed by a link, and notified of changes."""

import unicodedata
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.models.mail import OneTimeToken, OutgoingMail
from tests.support.callers import Caller
from tests.support.constants import PASSWORD
from tests.support.emails import LINK_INVALID, move, resend, said, verify, with_link
from tests.support.mail_server import MailServer
from tests.support.outbox import send
from tests.support.requests import problem

TAKEN = "An account with this e-mail address exists already."


# --- verification


def test_the_mail_of_a_registration_verifies_the_address(ada, mails, trail):
    assert ada.user().json["email_verified"] is False
    [mail] = mails()
    assert said([mail]) == [("ada@example.com", "Please confirm your e-mail address")]
    assert mail.link.startswith("http://localhost:8000/verify-email#token=")
    assert mail.link in mail.html
    answer = verify(ada, mail.token)
    assert (answer.status_code, answer.data) == (204, b"")
    assert ada.user().json["email_verified"] is True
    assert trail()[-1] == Event.EMAIL_VERIFIED
    assert problem(verify(ada, mail.token)) == LINK_INVALID


def test_links_lead_to_the_frontend(ada, mails, setting):
    setting("FRONTEND_URL", "https://app.example.com/account")
    [mail] = mails()
    assert mail.link.startswith("https://app.example.com/account/verify-email#token=")
    assert "https://app.example.com/account\n" in mail.text.replace("\r", "")


def test_a_verification_is_good_for_a_day(ada, mails):
    [mail] = mails()
    with time_machine.travel(now() + timedelta(hours=24, seconds=1), tick=False):
        assert problem(verify(ada, mail.token)) == LINK_INVALID
    assert verify(ada, mail.token).status_code == 204


def test_it_can_be_mailed_again_and_the_newest_replaces_the_one_before(ada, mails):
    [first] = mails()
    assert (resend(ada).status_code, resend(ada).json) == (202, {})
    second, third = mails()
    assert problem(verify(ada, first.token)) == LINK_INVALID
    assert problem(verify(ada, second.token)) == LINK_INVALID
    assert verify(ada, third.token).status_code == 204
    assert resend(ada).status_code == 202
    assert mails() == []  # nothing is left to verify


def test_it_is_mailed_three_times_an_hour_at_most(ada, mails):
    assert {resend(ada).status_code for _ in range(10)} == {202}
    assert len(mails()) == 3  # the first one came with the registration


# --- change of address


def test_a_change_takes_effect_when_the_link_at_the_new_address_is_used(ada, mails, trail):
    mails()
    assert move(ada, "Ada@Example.org", password=PASSWORD).status_code == 202
    assert ada.user().json["email"] == "ada@example.com"
    notice, link = mails()
    assert said([notice, link]) == [
        ("ada@example.com", "Your e-mail address is about to change"),
        ("ada@example.org", "Please confirm your new e-mail address"),
    ]
    assert verify(ada, link.token).status_code == 204
    assert said(mails()) == [
        ("ada@example.com", "Your e-mail address was changed"),
        ("ada@example.org", "Your e-mail address was changed"),
    ]
    user = ada.user().json
    assert (user["email"], user["email_verified"]) == ("ada@example.org", True)
    assert trail()[-2:] == [Event.EMAIL_CHANGE_ASKED, Event.EMAIL_CHANGED]
    assert ada.try_login().status_code == 400
    ada.email = "ada@example.org"
    assert ada.try_login().status_code == 200
    assert problem(verify(ada, link.token)) == LINK_INVALID


def test_the_newest_change_replaces_the_one_before_also_if_that_is_still_to_be_mailed(ada, mails):
    mails()
    move(ada, "typo@example.org")
    _, first = mails()
    move(ada, "another.typo@example.org")
    move(ada, "ada@example.org")
    assert problem(verify(ada, first.token)) == LINK_INVALID
    links = [mail for mail in mails() if mail.subject.startswith("Please")]
    assert [mail.to for mail in links] == ["ada@example.org"]
    assert verify(ada, links[0].token).status_code == 204


def test_a_password_change_stops_a_change_of_address(ada, mails):
    mails()
    move(ada, "thief@example.org")
    _, link = mails()
    move(ada, "thief@example.net")  # still to be mailed
    body = {"current_password": PASSWORD, "new_password": "a password nobody has yet"}
    assert ada.call("POST", "/api/password/change/", json=body).status_code == 200
    assert [mail for mail in mails() if "#token" in mail.text] == []
    assert problem(verify(ada, link.token)) == LINK_INVALID


def test_a_change_ends_all_links_of_the_account(ada, mails, rows):
    [old] = mails()
    ada.client.post("/api/password/reset/", json={"email": ada.email})
    [reset] = mails()
    move(ada, "ada@example.org")
    _, link = mails()
    assert verify(ada, link.token).status_code == 204
    assert problem(verify(ada, old.token)) == LINK_INVALID
    body = {"token": reset.token, "new_password": "a password nobody has yet"}
    assert problem(ada.client.post("/api/password/reset/confirm/", json=body)) == LINK_INVALID
    assert rows(select(OneTimeToken.purpose)) == ["undo_email"]


def test_a_taken_address_is_told_to_nobody_but_its_own_mailbox(ada, bob, mails):
    mails()
    assert move(ada, "BOB@example.com").status_code == 202
    _, link = mails()
    assert link.to == "bob@example.com"
    answer = verify(ada, link.token)
    assert answer.json["errors"] == {"email": [TAKEN]}
    assert ada.user().json["email"] == "ada@example.com"


def test_of_two_who_change_to_one_address_one_succeeds(ada, bob, mails):
    mails()
    for caller in (ada, bob):
        assert move(caller, "one@example.org").status_code == 202
    links = [mail for mail in mails() if mail.to == "one@example.org"]
    assert [verify(ada, mail.token).status_code for mail in links] == [204, 400]


def test_the_own_address_and_what_is_none_are_refused(ada, rows):
    for email in ("ADA@example.com", "no address", "ada@example.org\r\nBcc: x@example.org", ""):
        assert list(move(ada, email).json["errors"]) == ["email"]
    assert rows(select(OutgoingMail.template)) == ["verify_email"]


def test_nobody_is_bombed_with_links_to_new_addresses(ada, bob):
    assert [move(ada, "victim@example.org").status_code for _ in range(2)] == [202] * 2
    assert [move(bob, "victim@example.org").status_code for _ in range(2)] == [202, 429]
    assert [move(ada, f"v{n}@example.org").status_code for n in range(2)] == [202, 429]


# --- notices


def test_a_changed_password_is_told_once_without_any_secret(ada, mails):
    mails()
    body = {"current_password": PASSWORD, "new_password": "a password nobody has yet"}
    ada.call("POST", "/api/password/change/", json=body, headers={"User-Agent": "Firefox/1 Linux"})
    [mail] = mails()
    assert said([mail]) == [("ada@example.com", "Your password was changed")]
    for text in (mail.text, mail.html):
        assert "127.0.0.1" in text
        assert "(Firefox on Linux)" in text
        assert "token" not in text.replace("An old token", "")
        assert PASSWORD not in text


def test_the_reuse_of_a_refresh_token_is_told_once(ada, mails):
    mails()
    old = ada.tokens.refresh
    ada.refresh(old)
    for _ in range(3):
        assert problem(ada.refresh(old)) == (401, "token_reused")
    assert said(mails()) == [("ada@example.com", "A device was signed out for your safety")]


def test_a_sign_in_is_told_from_a_new_device_alone(ada, app, mails):
    mails()
    ada.login()
    assert mails() == []
    stranger = Caller(app.test_client())
    assert stranger.try_login(password="wrong").status_code == 400
    assert mails() == []
    stranger.login()
    stranger.login()
    assert said(mails()) == [("ada@example.com", "A new sign-in to your account")]


def test_an_address_that_nobody_has_proven_gets_three_mails_an_hour(ada, app, mails):
    [mail] = mails()  # the first

    def sign_in_from_new_devices():
        for _ in range(5):
            Caller(app.test_client()).login()
        return len(mails())

    assert sign_in_from_new_devices() == 2
    assert resend(ada).status_code == 202
    assert mails() == []
    assert verify(ada, mail.token).status_code == 204
    assert sign_in_from_new_devices() == 5


def test_nothing_that_somebody_typed_is_in_a_mail(app, mails):
    """A name or a browser that is a message of its own reaches no third person through us."""
    spam = "visit evil.example now"
    caller = Caller(app.test_client())
    caller.client.environ_base["HTTP_USER_AGENT"] = f"<b>{spam}</b> Edg/9 (Windows)"
    caller.register(username="evil.example", first_name=spam, last_name=f"<a href=x>{spam}</a>")
    [mail] = mails()
    for part in (mail.text, mail.html, str(mail.headers)):
        assert "evil" not in part
    assert "(Edge on Windows)" in mail.text


HOSTS = {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil"}


@pytest.mark.parametrize("headers", HOSTS, ids=lambda headers: next(iter(headers)))
def test_links_are_built_from_the_setting_alone(headers, ada, mails, setting):
    setting("FRONTEND_URL", "https://id.pycoder.dev/auth")
    mails()
    body = {"email": ada.email}
    assert ada.client.post("/api/password/reset/", json=body, headers=headers).status_code == 202
    [mail] = mails()
    assert mail.link.startswith("https://id.pycoder.dev/auth/reset-password#token=")
    for text in (mail.text, mail.html, str(mail.headers)):
        assert "evil" not in text


@pytest.mark.parametrize("email", ["a@b.co\r\nBcc: x@b.co", "a@b.co\nBcc: x", "a\0@b.co"])
def test_an_address_cannot_carry_a_header(email, app, mails, mail_server):
    caller = Caller(app.test_client(), email)
    assert list(caller.register().json["errors"]) == ["email"]
    answer = caller.client.post("/api/password/reset/", json={"email": email})
    assert answer.status_code == 400
    assert mails() == []


@pytest.mark.parametrize(
    ("email", "envelope"),
    [
        ("ada@faß.de", "ada@xn--fa-hia.de"),
        ("ada@βόλος.com", "ada@xn--nxasmm1c.com"),
        ("ada@XN--BCHER-KVA.example.com", "ada@xn--bcher-kva.example.com"),
    ],
)
def test_a_mail_goes_to_the_domain_of_the_address_and_to_none_that_looks_like_it(
    email, envelope, app, mails
):
    """Under the older rules for domains ``faß.de`` is ``fass.de``, which is somebody else's."""
    assert Caller(app.test_client(), email).register().status_code == 201
    [mail] = mails()
    assert mail.to == mail.headers["To"] == envelope


@pytest.mark.parametrize("knows", [True, False])
def test_a_mailbox_that_is_not_ascii_gets_its_mail_or_nobody_does(knows, app, mailman, waiting):
    """An encoded ``=?utf-8?q?j=C3=BCrgen?=@…`` would be the mailbox of another person."""
    with MailServer(enable_SMTPUTF8=knows) as server:
        mailman(server.url)
        assert Caller(app.test_client(), "jürgen@example.com").register().status_code == 201
        send(app)
        assert [mail.to for mail in server.mails] == ["jürgen@example.com"] * knows
        assert waiting() == (not knows)


def test_an_address_is_stored_as_it_is_compared_so_that_its_mail_goes_there(app, mails):
    """Else a stranger registers a look-alike, and its owner finds the address taken."""
    for email in ("ﬁn@example.com", "aｄa@example.com", "eve＠example.com"):
        caller = Caller(app.test_client(), email)
        assert caller.register().json["user"]["email"] == unicodedata.normalize("NFKC", email)
    assert [mail.to for mail in mails()] == [
        "fin@example.com",
        "ada@example.com",
        "eve@example.com",
    ]


def test_an_address_that_nobody_has_proven_gets_three_mails_from_all_accounts_together(
    bob, app, mails
):
    mails()
    received = []
    for _ in range(4):
        caller = Caller(app.test_client(), "Victim@example.com")
        assert caller.register().status_code == 201
        received += mails()
        Caller(app.test_client(), "victim@example.com").login()
        received += mails()
        move(bob, "victim@example.com", password=bob.password)
        received += [mail for mail in mails() if mail.to == "victim@example.com"]
        assert caller.call("DELETE", "/api/user/", json={"password": PASSWORD}).status_code == 204
    assert len(received) == 3


def test_a_former_address_that_nobody_had_proven_is_no_way_around_the_limit(app, mails):
    """Of each kind three arrive: notices, and links that undo a change."""
    received = []
    for n in range(5):
        thief = Caller(app.test_client(), "victim@example.com")
        assert thief.register().status_code == 201
        move(thief, f"thief{n}@example.org")
        found = mails()
        verify(thief, next(mail for mail in found if mail.to == f"thief{n}@example.org").token)
        found += mails()
        thief.call("DELETE", "/api/user/", json={"password": PASSWORD})
        received += [mail for mail in [*found, *mails()] if mail.to == "victim@example.com"]
    undoing = ["/undo-email" in mail.text for mail in received]
    assert (undoing.count(True), undoing.count(False)) == (3, 3)


def test_a_proven_address_gets_its_notices_whatever_else_it_gets(ada, bob, app, mails):
    verify(ada, next(mail for mail in mails() if mail.to == ada.email).token)
    for _ in range(3):
        move(bob, ada.email)
        Caller(app.test_client()).login()
    mails()
    body = {"current_password": PASSWORD, "new_password": "a password nobody has yet"}
    ada.call("POST", "/api/password/change/", json=body)
    assert said(mails()) == [("ada@example.com", "Your password was changed")]
    ada.password = "a password nobody has yet"
    ada.login()
    move(ada, "thief@example.org")
    verify(ada, with_link(mails()).token)
    assert ("ada@example.com", "Your e-mail address was changed") in said(mails())


def test_no_notice_holds_a_link_that_opens_anything(ada, app, mails):
    verify(ada, mails()[0].token)
    Caller(app.test_client()).login()
    move(ada, "ada@example.org", password=PASSWORD)
    told = mails()
    [link] = [mail for mail in told if mail.to == "ada@example.org"]
    verify(ada, link.token)
    later = [mail for mail in mails() if "/undo-email" not in mail.text]
    notices = [mail for mail in [*told, *later] if mail is not link]
    assert len(notices) == 3
    for mail in notices:
        for text in (mail.text, mail.html):
            assert link.token not in text
            assert "#token" not in text
            assert PASSWORD not in text
