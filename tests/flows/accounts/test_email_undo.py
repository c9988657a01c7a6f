"""The way back from a change of address: a link that the address before can use."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.mail import OneTimeToken
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import PASSWORD
from tests.support.emails import (
    LINK_INVALID,
    change_address,
    move,
    rename,
    resend,
    said,
    undo,
    verify,
    with_link,
)
from tests.support.login_attempts import visitor
from tests.support.password_calls import NEW, ask, change, confirm, prove
from tests.support.requests import problem
from tests.support.second_factors import enrol, half, second_step
from tests.support.second_factors import prove as prove_both

HOME, THEIRS = "ada@example.com", "thief@example.org"
CHOOSE = "Choose a new password for your account"
UNDONE = "The change of your e-mail address was undone"
RESERVED = "An account had this e-mail address until a few days ago, and can still return to it."
TAKEN = "An account with this e-mail address exists already."


@pytest.fixture
def taken(ada, mails):
    """The token that the address of ``ada`` was mailed when a thief had changed it."""
    verify(ada, next(mail.token for mail in mails() if mail.to == HOME))
    return change_address(ada, THEIRS, mails)


def test_the_old_address_is_mailed_a_link_and_the_new_one_is_not(ada, mails):
    mails()
    move(ada, "ada@example.org")
    verify(ada, with_link(mails()).token)
    old, new = mails()
    assert (old.to, new.to) == (HOME, "ada@example.org")
    assert old.link.startswith("http://localhost:8000/undo-email#token=")
    assert old.link in old.html
    assert "#token" not in new.text


def test_the_link_restores_the_address_and_ends_all_that_a_thief_may_have(ada, app, taken, mails):
    thief = Caller(app.test_client(), THEIRS)
    pair = thief.login()
    proof = prove(thief).json["proof"]
    move(thief, "thief@example.net")
    ask(thief, THEIRS)
    found = mails()
    reset, change_link = found[0], found[-1]
    answer = undo(ada, taken)
    assert (answer.status_code, answer.data) == (204, b"")
    assert problem(thief.user()) == problem(thief.refresh()) == (401, "token_revoked")
    assert problem(ada.user()) == (401, "token_revoked")
    assert problem(verify(thief, change_link.token)) == LINK_INVALID
    assert problem(confirm(thief, reset.token)) == LINK_INVALID
    body = {"proof": proof}
    assert problem(thief.call("DELETE", "/api/user/", pair.access, json=body))[0] == 401
    for email in (HOME, THEIRS, "ada"):
        answer = ada.try_login(email=email)
        assert problem(answer) == (400, "invalid_credentials")
    told = mails()
    assert said(told) == [(HOME, CHOOSE), (THEIRS, UNDONE)]
    assert "the password is no longer valid" in told[0].text
    assert "factors were removed" not in told[0].text
    assert confirm(ada, told[0].token).status_code == 204
    user = ada.try_login(email=HOME, password=NEW).json["user"]
    assert (user["email"], user["email_verified"]) == (HOME, True)


def test_an_undo_is_on_the_trail_and_the_link_is_good_once(ada, taken, trail, mails):
    assert undo(ada, taken).status_code == 204
    assert trail()[-1] == Event.EMAIL_CHANGE_UNDONE
    again = undo(ada, taken)
    assert problem(again) == LINK_INVALID
    assert "contact the operator" in again.json["detail"]  # nobody can request another one
    assert trail().count(Event.EMAIL_CHANGE_UNDONE) == 1


def test_the_link_is_good_for_seven_days_from_the_change(ada, taken):
    with later(days=7, seconds=1):
        assert problem(undo(ada, taken)) == LINK_INVALID
    with later(days=7, seconds=-5):
        assert undo(ada, taken).status_code == 204


def test_it_is_good_for_nothing_else_and_no_other_link_undoes(ada, taken, mails):
    resend(ada)
    ask(ada, THEIRS)
    for mail in mails():
        assert problem(undo(ada, mail.token)) == LINK_INVALID
    assert problem(verify(ada, taken)) == LINK_INVALID
    assert problem(confirm(ada, taken)) == LINK_INVALID
    for token in ("x", "é" * 43, ada.tokens.access):
        assert problem(undo(ada, token)) == LINK_INVALID
    assert undo(ada, taken).status_code == 204


# --- what a thief may try


def test_a_new_password_or_a_reset_does_not_stop_it(ada, taken, mails, app):
    ada.tokens = ada.tokens._replace(**change(ada).json["tokens"])
    ask(ada, THEIRS)
    assert confirm(ada, mails()[0].token, PASSWORD).status_code == 204
    with app.app_context():
        administration.set_password(administration.find_user(THEIRS), NEW)
    assert undo(ada, taken).status_code == 204


def test_a_second_change_does_not_wash_the_first_owner_away(ada, taken, mails):
    ada.login()
    second = change_address(ada, "thief@example.net", mails)
    assert undo(ada, taken).status_code == 204
    assert problem(undo(ada, second)) == LINK_INVALID
    ada.email = HOME
    mail = mails()[0]
    assert (mail.to, confirm(ada, mail.token).status_code) == (HOME, 204)


def test_the_undo_of_a_later_address_does_not_stop_that_of_an_earlier_one(ada, taken, mails):
    second = change_address(ada, "thief@example.net", mails)
    assert undo(ada, second).status_code == 204
    assert undo(ada, taken).status_code == 204
    assert said(mails())[0] == (HOME, CHOOSE)


def test_a_change_before_the_mail_was_sent_does_not_stop_it(ada, mails, mail_server):
    """The rank of a link is that of its change, whenever its mail arrives."""
    mails()
    move(ada, THEIRS)
    first = with_link(mails())
    verify(ada, first.token)
    mail_server.scripted_replies = ["refuses"]  # the mail to the owner is put off
    assert [mail.to for mail in mails()] == [THEIRS]
    move(ada, "thief@example.net")
    last = next(mail for mail in mails() if mail.to == "thief@example.net")
    verify(ada, last.token)
    with later(minutes=1):
        links = {mail.to: mail.token for mail in mails() if "/undo-email" in mail.text}
        assert set(links) == {HOME, THEIRS}
        assert undo(ada, links[THEIRS]).status_code == 204
        assert undo(ada, links[HOME]).status_code == 204


@pytest.mark.parametrize("email", [HOME, "ADA@example.com", "ａda@example.com"])
def test_the_old_address_cannot_be_taken_by_a_registration_meanwhile(email, ada, taken, app):
    squatter = Caller(app.test_client(), email)
    assert squatter.register().json["errors"] == {"email": [RESERVED]}
    with later(days=7, seconds=1):
        assert squatter.register().status_code == 201


def test_an_owner_who_changes_back_leaves_no_link_behind(ada, taken, mails, rows):
    ada.login()
    assert change_address(ada, HOME, mails) is None
    assert rows(select(OneTimeToken)) == []
    assert problem(undo(ada, taken)) == LINK_INVALID  # there is nothing to undo
    again = change_address(ada, THEIRS, mails)
    assert undo(ada, again).status_code == 204


def test_after_a_way_back_no_mail_speaks_of_a_link_that_was_not_sent(ada, taken, mails):
    mails()
    move(ada, HOME)
    verify(ada, with_link(mails()).token)
    assert said(mails()) == [(THEIRS, UNDONE)]


# --- two accounts


def test_an_address_that_nobody_had_proven_is_barred_for_nobody(ada, app, mails):
    """Else a stranger registers it, leaves it, and so keeps its owner from registering."""
    link = change_address(ada, THEIRS, mails)
    owner = Caller(app.test_client(), HOME)
    assert owner.register().status_code == 201
    assert undo(ada, link).json["errors"] == {"email": [TAKEN]}
    assert owner.user().json["email"] == HOME


def test_no_other_account_takes_the_address_while_its_owner_can_return(ada, bob, taken, mails):
    mails()
    assert move(bob, HOME).status_code == 202
    link = with_link(mails()).token
    answer = verify(bob, link)
    assert answer.json["errors"] == {"email": [RESERVED]}
    assert bob.user().json["email"] == "bob@example.com"
    assert undo(ada, taken).status_code == 204
    assert verify(bob, link).json["errors"] == {"email": [TAKEN]}


def test_a_username_that_was_the_address_comes_back_with_it(app, mails):
    ada = Caller(app.test_client())
    ada.register(username=HOME)
    token = change_address(ada, THEIRS, mails)
    assert ada.user().json["username"] == THEIRS
    assert undo(ada, token).status_code == 204
    confirm(ada, mails()[0].token)
    answer = ada.try_login(email=HOME, password=NEW)
    assert answer.json["user"]["username"] == HOME


def test_a_username_that_was_chosen_meanwhile_stays(ada, taken, mails):
    rename(ada, username="lovelace")
    undo(ada, taken)
    confirm(ada, mails()[0].token)
    assert ada.try_login(email=HOME, password=NEW).json["user"]["username"] == "lovelace"


# --- accounts that are closed, and races


def test_a_deactivated_account_is_not_moved_and_keeps_the_right_of_its_owner(ada, app, taken):
    for active, expected in ((False, 400), (True, 204)):
        with app.app_context():
            administration.set_active(administration.find_user("ada"), active)
        assert undo(ada, taken).status_code == expected


def test_of_twenty_undos_at_once_one_succeeds(ada, app, taken, trail, rows):
    def attempt(_):
        return undo(Caller(app.test_client()), taken)

    with ThreadPoolExecutor(20) as pool:
        answers = [answer.status_code for answer in pool.map(attempt, range(20))]
    assert answers.count(204) == 1
    assert set(answers) <= {204, 400, 503}
    assert trail().count(Event.EMAIL_CHANGE_UNDONE) == 1
    assert rows(select(User.email)) == [HOME]
    live = select(func.count(Session.id)).where(Session.revoked_at.is_(None))
    assert rows(live) == [0]


def test_the_export_names_each_link_without_its_secret(ada, taken, mails, rows):
    change_address(ada, "ada@example.net", mails)
    answer = ada.get("/api/user/export/")
    links = [(link["purpose"], link["email"]) for link in answer.json["links"]]
    assert links == [("undo_email", HOME), ("undo_email", THEIRS)]
    for secret in (taken, *rows(select(OneTimeToken.digest))):
        assert secret not in answer.text
    [first, second] = rows(select(OneTimeToken.expires_at).order_by(OneTimeToken.id))
    assert timedelta(0) < second - first < timedelta(minutes=1)


def restore(ada, mails, token, password):
    """Undo the change of address, and set a new password by the mailed link."""
    assert undo(ada, token).status_code == 204
    link = next(mail.token for mail in mails() if "/reset-password" in mail.text)
    assert confirm(ada, link, password).status_code == 204
    ada.email, ada.password = HOME, password


def test_a_factor_that_a_thief_has_added_ends_with_the_change(ada, app, taken, mails, clock, trail):
    thief = Caller(app.test_client(), THEIRS)
    thief.login()
    enrol(thief, app)
    assert half(thief)
    mails()
    assert undo(ada, taken).status_code == 204
    assert {Event.FACTORS_UNDONE, Event.EMAIL_CHANGE_UNDONE} <= {*trail()}
    told = mails()[0]
    assert (told.to, told.subject) == (HOME, CHOOSE)
    assert "second factors were removed" in " ".join(told.text.split())
    assert confirm(ada, told.token, NEW).status_code == 204
    ada.email, ada.password = HOME, NEW
    assert ada.try_login().status_code == 200
    assert ada.get("/api/factors/").json["recovery_codes_left"] == 0


def change_with_a_lasting_factor(ada, app, mails, clock):
    """Change the address of an account with a factor that nobody can undo any more.

    Return its authenticator app, and the token of the link that undoes the change.
    """
    authenticator, _ = enrol(ada, app)
    clock.shift(timedelta(days=7, seconds=1))
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
    clock.shift(30)
    proof = prove_both(ada, code=authenticator.code())
    return authenticator, change_address(ada, THEIRS, mails, proof=proof)


def test_an_account_that_had_a_factor_keeps_one_also_if_it_was_replaced(ada, app, mails, clock):
    authenticator, token = change_with_a_lasting_factor(ada, app, mails, clock)
    clock.shift(30)
    enrol(ada, app, proof=prove_both(ada, code=authenticator.code()))
    restore(ada, mails, token, NEW)
    assert half(ada)


def test_an_account_that_was_without_a_factor_meanwhile_keeps_none(ada, app, mails, clock):
    """A thief of the password needs no proof by a former factor to add the next one."""
    authenticator, token = change_with_a_lasting_factor(ada, app, mails, clock)
    clock.shift(30)
    proof = prove_both(ada, code=authenticator.code())
    removed = ada.call("DELETE", "/api/factors/totp/", json={"proof": proof})
    assert removed.status_code == 204
    thief = Caller(app.test_client(), THEIRS)
    thief.login()
    enrol(thief, app)
    restore(ada, mails, token, NEW)
    assert ada.try_login().status_code == 200


def test_the_second_step_knows_a_device_after_the_undo(ada, app, mails, clock):
    """Else a reader of the mailbox before could shut out every device by wrong codes."""
    authenticator, token = change_with_a_lasting_factor(ada, app, mails, clock)
    restore(ada, mails, token, NEW)
    stranger = visitor(app, ip="198.51.100.7")
    stranger.email, stranger.password = ada.email, ada.password
    for _ in range(2):
        ticket = half(stranger)
        for _ in range(5):
            second_step(stranger, ticket, code=authenticator.wrong_code())
    clock.shift(30)
    refused = second_step(stranger, half(stranger), code=authenticator.code())
    assert refused.status_code == 429
    assert second_step(ada, half(ada), code=authenticator.code()).status_code == 200
