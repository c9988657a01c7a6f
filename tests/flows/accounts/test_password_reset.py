"""The reset of a password by a link."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.mail import links
from pycoder.mail.links import Purpose
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OneTimeToken, OutgoingMail
from tests.support.callers import Caller
from tests.support.clocks import later, until
from tests.support.outbox import send
from tests.support.password_calls import NEW, WRONG, ask, change, confirm
from tests.support.requests import problem
from tests.support.statements import executed

# --- reset


def test_a_reset_replaces_the_password_and_ends_every_session(ada, link, trail):
    answer = confirm(ada, link)
    assert (answer.status_code, answer.data) == (204, b"")
    assert problem(ada.user()) == (401, "token_revoked")
    assert trail()[-2:] == [Event.PASSWORD_RESET_ASKED, Event.PASSWORD_RESET]
    assert ada.try_login().status_code == 400
    ada.password = NEW
    ada.login()
    assert ada.user().json["email_verified"] is True  # who read the mail has the address


def test_a_link_is_good_once(ada, link):
    assert confirm(ada, link).status_code == 204
    assert problem(confirm(ada, link)) == (400, "link_invalid")


def test_of_twenty_who_use_one_link_one_succeeds(ada, app, link, setting):
    def use(n):
        return confirm(Caller(app.test_client()), link, f"{NEW} {n}").status_code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(use, range(20)))
    assert answers.count(204) == 1
    assert set(answers) <= {204, 400, 429}
    winner = answers.index(204)
    assert ada.try_login(password=f"{NEW} {winner}").status_code == 200


def test_the_newest_link_replaces_the_one_before(ada, link, mails):
    ask(ada)
    [mail] = mails()
    assert problem(confirm(ada, link)) == (400, "link_invalid")
    assert confirm(ada, mail.token).status_code == 204


def test_a_link_is_good_for_an_hour_that_begins_with_its_mail(ada, mails):
    mails()
    ask(ada)
    with later(hours=3):
        [mail] = mails()
    with later(hours=4, seconds=1):
        assert problem(confirm(ada, mail.token)) == (400, "link_invalid")
    with later(hours=3, minutes=59):
        assert confirm(ada, mail.token).status_code == 204


ENDINGS = {
    "password change": lambda ada, app: change(ada),
    "set-password": lambda ada, app: administration.set_password(
        administration.find_user(ada.email), NEW
    ),
    "deactivation": lambda ada, app: administration.set_active(
        administration.find_user(ada.email), False
    ),
    "deletion": lambda ada, app: administration.delete_user(administration.find_user(ada.email)),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_link_is_dead_after(name, ada, app, link):
    with app.app_context():
        ENDINGS[name](ada, app)
    assert problem(confirm(ada, link)) == (400, "link_invalid")


@pytest.mark.parametrize("spelling", ["ada@example.com", "ＡＤＡ@Example.com"])
@pytest.mark.parametrize("name", ENDINGS)
def test_a_link_that_was_not_mailed_yet_is_not_mailed_after(name, spelling, ada, app, mails):
    mails()
    ask(ada, spelling)
    with app.app_context():
        ENDINGS[name](ada, app)
    assert [mail for mail in mails() if "#token" in mail.text] == []


def test_a_link_is_good_for_its_purpose_alone(ada, app, link, mails):
    verify = ada.client.post("/api/email/verify/", json={"token": link})
    assert problem(verify) == (400, "link_invalid")
    ada.call("POST", "/api/email/verify/resend/")
    [mail] = mails()
    assert problem(confirm(ada, mail.token)) == (400, "link_invalid")
    for token in (ada.tokens.access, ada.tokens.refresh, "x", "é" * 43):
        assert problem(confirm(ada, token)) == (400, "link_invalid")
    assert problem(ada.user(link)) == (401, "token_invalid")
    assert confirm(ada, link).status_code == 204


def test_a_secret_has_256_bits_and_is_stored_nowhere(ada, link, app, rows):
    assert len(link) == 43
    [digest] = rows(select(OneTimeToken.digest).where(OneTimeToken.purpose == Purpose.RESET))
    assert link not in digest
    assert rows(select(OutgoingMail)) == []
    with app.app_context():
        assert links.peek(digest, Purpose.RESET) is None


def test_a_reset_lifts_the_pause_of_the_account_and_of_the_device(ada, app, link):
    stranger = Caller(app.test_client())
    for caller in (stranger, ada):
        assert [caller.try_login(password=WRONG).status_code for _ in range(10)] == [400] * 10
        assert caller.try_login().status_code == 429
    assert confirm(ada, link).status_code == 204
    for caller in (ada, stranger):
        assert caller.try_login(password=NEW).status_code == 200


def test_whether_there_is_an_account_shows_neither_in_the_answer_nor_in_the_limit(ada, mails, rows):
    mails()
    for email in ("ada@example.com", "nobody@example.com", "not an address"):
        answers = [ask(ada, email) for _ in range(5)]
        assert {(a.status_code, a.text) for a in answers} == {(202, "{}\n")}
        assert len(mails()) == (3 if email == ada.email else 0)
    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.LIMIT_REACHED)
    assert rows(refused) == [3]


def test_fifty_requests_send_three_mails_an_hour(ada, mails):
    mails()
    assert {ask(ada, "ADA@example.com").status_code for _ in range(50)} == {202}
    assert [mail.to for mail in mails()] == ["ada@example.com"] * 3
    with later(hours=1, seconds=1):
        ask(ada)
        assert len(mails()) == 1


def test_a_deactivated_account_gets_no_link(ada, app, mails):
    mails()
    with app.app_context():
        administration.set_active(administration.find_user(ada.email), False)
    ask(ada)
    assert not any("#token=" in mail.text for mail in mails())


def test_what_is_no_address_is_not_stored(anyone, rows):
    """It may be a password. An address is stored until the worker has looked it up."""
    for typed in ("correct horse battery staple", "hunter2@", "Passw0rd@home", "x" * 254):
        assert ask(anyone, typed).status_code == 202
    assert rows(select(OutgoingMail)) == []


def test_an_address_without_an_account_is_stored_until_the_worker_has_looked(
    anyone, mails, waiting
):
    assert ask(anyone, "nobody@example.com").status_code == 202
    assert waiting() == 1
    assert mails() == []
    assert waiting() == 0


def test_the_link_goes_to_the_stored_address_whatever_spelling_was_typed(ada, mails):
    mails()
    ask(ada, "ＡＤＡ@Example.com")
    assert [mail.to for mail in mails()] == ["ada@example.com"]


def test_with_a_slow_mail_server_a_reset_does_the_same_for_every_address(
    ada, app, mails, mail_server, no_limits
):
    """Whose address it is, is asked when the mail is sent, after the answer."""
    mail_server.scripted_replies = ["stalls"]
    work = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, app)
        until(lambda: mail_server.talking)
        for email in ("ada@example.com", "nobody@example.com"):
            with executed(app) as statements:
                assert ask(ada, email).status_code == 202
            work.append(statements)
        assert mail_server.talking  # all the time
        mail_server.stop()
        assert sending.result() == (0, True)
    known, unknown = work
    assert known == unknown != []
