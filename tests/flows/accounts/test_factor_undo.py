"""The way back from a first factor: a link in its notice, for the reader of the mailbox."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.device import Device
from pycoder.models.mail import OneTimeToken
from pycoder.models.mfa import Passkey, RecoveryCode, Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.emails import LINK_INVALID, change_address, move, resend, said, verify
from tests.support.emails import undo as undo_change
from tests.support.password_calls import NEW, ask, confirm
from tests.support.requests import problem
from tests.support.second_factors import (
    Authenticator,
    enrol,
    half,
    prove,
    reset_password,
    second_step,
)
from tests.support.soft_authenticator import add, assertion, log_in

HOME, THEIRS = "ada@example.com", "thief@example.org"
PATH = "/undo-factors#token="


def undo(caller, token):
    return caller.client.post("/api/factors/undo/", json={"token": token})


def links_in(sent):
    return [mail.token for mail in sent if PATH in mail.text]


@pytest.fixture
def thief(ada, app, mails):
    """A caller that knows the password of ``ada``, on a device of its own."""
    verify(ada, next(mail.token for mail in mails() if mail.to == HOME))
    thief = Caller(app.test_client(), HOME)
    thief.login()
    mails()
    return thief


@pytest.fixture
def passkey(thief, app):
    """The passkey that the thief has added."""
    passkey, answer = add(thief, app)
    assert answer.status_code == 201, answer.json
    return passkey


@pytest.fixture
def token(passkey, mails):
    """The token of the link in the notice of that passkey."""
    [token] = links_in(mails())
    return token


def prove_by(caller, passkey):
    body = {"passkey": assertion(caller.client, passkey)}
    return caller.call("POST", "/api/reauthenticate/", json=body).json["proof"]


def choose_password(ada, mails):
    """Set a new password by the link that an undo has mailed, and sign in by it alone."""
    [mail] = [mail for mail in mails() if "/reset-password" in mail.text]
    assert (mail.to, confirm(ada, mail.token).status_code) == (HOME, 204)
    ada.password = NEW
    assert ada.try_login(email=HOME).status_code == 200


# --- the attack


def test_the_owner_of_an_account_whose_thief_added_a_passkey_gets_it_back(
    ada, app, thief, passkey, token, mails
):
    reset_password(ada, mails)
    half(ada)  # the owner is locked out, and the thief is not
    assert log_in(thief, passkey).status_code == 200
    answer = undo(ada, token)
    assert (answer.status_code, answer.data) == (204, b"")
    assert problem(thief.user()) == problem(thief.refresh()) == (401, "token_revoked")
    assert log_in(thief, passkey).json["code"] == "passkey_unknown"
    assert problem(ada.try_login()) == (400, "invalid_credentials")
    choose_password(ada, mails)
    factors = ada.get("/api/factors/").json
    found = [factors[name] for name in ("totp", "passkeys", "recovery_codes_left")]
    assert found == [None, [], 0]


def test_the_undo_of_a_change_removes_a_first_factor_from_just_before(
    ada, thief, passkey, token, mails
):
    back = change_address(thief, THEIRS, mails, proof=prove_by(thief, passkey))
    assert problem(undo(ada, token)) == LINK_INVALID
    assert undo_change(ada, back).status_code == 204
    choose_password(ada, mails)
    assert log_in(thief, passkey).json["code"] == "passkey_unknown"
    assert problem(undo(ada, token)) == LINK_INVALID  # there is nothing to undo


def test_it_removes_it_also_when_the_seven_days_end_after_the_change(
    ada, app, thief, passkey, mails, clock
):
    clock.shift(6 * 86_400)
    assert log_in(thief, passkey).status_code == 200
    back = change_address(thief, THEIRS, mails, proof=prove_by(thief, passkey))
    clock.shift(2 * 86_400)
    assert undo_change(ada, back).status_code == 204
    choose_password(ada, mails)


def test_it_keeps_it_when_the_seven_days_have_ended_at_the_change(
    ada, thief, passkey, mails, clock
):
    clock.shift(7 * 86_400 - 60)
    assert log_in(thief, passkey).status_code == 200
    mails()
    move(thief, THEIRS, proof=prove_by(thief, passkey))
    [link] = [mail.token for mail in mails() if mail.to == THEIRS]
    clock.shift(120)
    assert verify(thief, link).status_code == 204
    [back] = [mail.token for mail in mails() if "/undo-email" in mail.text]
    assert undo_change(ada, back).status_code == 204
    assert log_in(thief, passkey).status_code == 200


def test_of_two_changes_the_undo_of_the_first_one_removes_it(ada, thief, passkey, mails):
    first = change_address(thief, THEIRS, mails, proof=prove_by(thief, passkey))
    second = change_address(thief, "thief@example.net", mails, proof=prove_by(thief, passkey))
    assert undo_change(thief, second).status_code == 204
    assert log_in(thief, passkey).status_code == 200  # not from an address that came later
    assert undo_change(ada, first).status_code == 204
    assert log_in(thief, passkey).json["code"] == "passkey_unknown"


def test_a_link_serves_again_when_the_account_has_its_address_again(
    ada, thief, passkey, token, mails
):
    back = change_address(thief, THEIRS, mails, proof=prove_by(thief, passkey))
    assert problem(undo(ada, token)) == LINK_INVALID
    assert change_address(thief, HOME, mails, proof=prove_by(thief, passkey)) is None
    assert problem(undo_change(ada, back)) == LINK_INVALID
    assert undo(ada, token).status_code == 204
    choose_password(ada, mails)


def test_two_changes_do_not_end_the_right_of_the_mailbox(ada, app, thief, mails):
    """The thief adds the factor between the changes, and the owner confirms the second one."""
    change_address(thief, THEIRS, mails)
    passkey, _ = add(thief, app)
    mails()
    move(thief, HOME, proof=prove_by(thief, passkey))
    [link] = [mail.token for mail in mails() if mail.to == HOME]
    assert verify(thief, link).status_code == 204
    [(to, token)] = [(mail.to, mail.token) for mail in mails() if PATH in mail.text]
    assert to == HOME
    assert undo(ada, token).status_code == 204
    assert log_in(thief, passkey).json["code"] == "passkey_unknown"
    choose_password(ada, mails)


def test_the_address_of_a_thief_cannot_remove_what_was_added_before(ada, thief, app, mails):
    """The first factor of the thief is undone from the thief's address, not from another."""
    back = change_address(thief, THEIRS, mails)
    add(thief, app)
    [theirs] = links_in(mails())
    assert undo_change(ada, back).status_code == 204
    choose_password(ada, mails)
    enrol(ada, app)
    assert problem(undo(thief, theirs)) == LINK_INVALID
    assert half(ada, email=HOME)


def test_it_ends_all_that_a_thief_may_have_prepared(ada, app, thief, passkey, token, mails, rows):
    proof = prove_by(thief, passkey)
    move(thief, THEIRS, proof=proof)
    ask(ada)
    sent = mails()
    ticket = half(ada)
    codes = select(func.count(RecoveryCode.digest))
    assert rows(codes) == [10]
    assert undo(ada, token).status_code == 204
    stale = [mail for mail in sent if "#token=" in mail.text]
    assert [mail.to for mail in stale] == [HOME, THEIRS]
    for mail, use in zip(stale, (confirm, verify), strict=True):
        assert problem(use(ada, mail.token)) == LINK_INVALID
    body = {"passkey": assertion(ada.client, passkey)}
    assert problem(second_step(ada, ticket, **body))[1] == "ticket_invalid"
    for table in (Totp, Passkey, RecoveryCode, Device):
        assert rows(select(table)) == []
    assert rows(select(OneTimeToken)) == []
    mine = PendingAuthentication.user_id.is_not(None)
    assert rows(select(PendingAuthentication.kind).where(mine)) == []
    [mail] = mails()
    assert said([mail]) == [(HOME, "Choose a new password for your account")]
    assert "factors were removed" in mail.text


# --- the link


def test_the_notice_of_a_first_factor_has_a_link_and_that_of_a_further_one_has_none(
    ada, app, passkey, thief, mails
):
    [first] = mails()
    assert (first.to, first.subject) == (HOME, "A passkey was added to your account")
    assert first.link.startswith(f"http://localhost:8000{PATH}")
    assert first.link in first.html
    assert "follow this link within seven days" in first.text
    assert "ask the operator" not in first.text
    add(thief, app, proof=prove_by(thief, passkey))
    enrol(thief, app, proof=prove_by(thief, passkey))
    further = mails()
    assert [mail.subject for mail in further] == [
        "A passkey was added to your account",
        "Two-step sign-in: an authenticator app was added",
    ]
    for mail in further:
        assert "#token" not in mail.text
        assert "Then ask the operator of this service to remove" in mail.text.replace("\r", "")


def test_a_first_app_has_a_link_and_one_that_replaces_it_has_none(ada, app, thief, mails, clock):
    authenticator, _ = enrol(thief, app)
    [mail] = mails()
    assert mail.subject == "Two-step sign-in: an authenticator app was added"
    clock.shift(30)
    enrol(thief, app, proof=prove(thief, code=authenticator.code()))
    assert links_in(mails()) == []
    assert undo(ada, mail.token).status_code == 204
    choose_password(ada, mails)


def test_an_app_that_is_enrolled_at_a_login_is_undone_too(ada, thief, mails, setting, clock):
    setting("SECOND_FACTOR", "required")
    ticket = half(thief)
    answer = thief.client.post("/api/login/enrol/", json={"ticket": ticket})
    code = Authenticator(answer.json["secret"]).code()
    assert second_step(thief, ticket, code=code).status_code == 200
    [token] = links_in(mails())
    assert undo(ada, token).status_code == 204
    assert problem(thief.user()) == (401, "token_revoked")
    [mail] = mails()
    assert confirm(ada, mail.token).status_code == 204
    ticket = half(ada, password=NEW)
    assert ada.client.post("/api/login/enrol/", json={"ticket": ticket}).status_code == 200


def test_it_is_on_the_trail_and_the_link_is_good_once(ada, token, trail):
    assert undo(ada, token).status_code == 204
    assert trail()[-1] == Event.FACTORS_UNDONE
    again = undo(ada, token)
    assert problem(again) == LINK_INVALID
    assert "contact the operator" in again.json["detail"]
    assert trail().count(Event.FACTORS_UNDONE) == 1


def test_the_link_is_good_for_seven_days_from_the_first_factor(ada, thief, passkey, token):
    with later(days=7, seconds=1):
        assert problem(undo(ada, token)) == LINK_INVALID
        assert log_in(thief, passkey).status_code == 200
    with later(days=7, seconds=-5):
        assert undo(ada, token).status_code == 204


def test_it_is_good_for_nothing_else_and_no_other_link_removes_factors(ada, token, mails):
    resend(ada)
    ask(ada)
    for mail in mails():
        assert problem(undo(ada, mail.token)) == LINK_INVALID
    for use in (verify, confirm, undo_change):
        assert problem(use(ada, token)) == LINK_INVALID
    for other in ("x", "é" * 43, ada.tokens.access):
        assert problem(undo(ada, other)) == LINK_INVALID
    assert undo(ada, token).status_code == 204


def test_a_new_password_does_not_stop_it(ada, app, thief, passkey, token, mails):
    answer = change_with(thief, prove_by(thief, passkey))
    assert answer.status_code == 200, answer.json
    with app.app_context():
        administration.set_password(administration.find_user(HOME), "one more long pass phrase")
    assert undo(ada, token).status_code == 204


def change_with(caller, proof):
    body = {"proof": proof, "new_password": NEW}
    return caller.call("POST", "/api/password/change/", json=body)


def test_an_owner_who_removes_the_last_factor_leaves_no_link_behind(
    ada, app, thief, passkey, token, mails, rows
):
    [listed] = thief.get("/api/passkeys/").json
    path = f"/api/passkeys/{listed['id']}/"
    further, answer = add(thief, app, proof=prove_by(thief, passkey))
    json = {"proof": prove_by(thief, passkey)}
    assert thief.call("DELETE", path, json=json).status_code == 204
    assert len(rows(select(OneTimeToken))) == 1  # a factor is left
    json = {"proof": prove_by(thief, further)}
    path = f"/api/passkeys/{answer.json['id']}/"
    assert thief.call("DELETE", path, json=json).status_code == 204
    assert rows(select(OneTimeToken)) == []
    mails()
    enrol(thief, app)
    assert problem(undo(ada, token)) == LINK_INVALID
    [new] = links_in(mails())
    assert undo(ada, new).status_code == 204


def test_an_operator_who_resets_the_factors_leaves_no_link_behind(ada, app, thief, token):
    with app.app_context():
        administration.reset_factors(administration.find_user(HOME))
    thief.login()
    enrol(thief, app)
    assert problem(undo(ada, token)) == LINK_INVALID
    assert half(ada)


def test_a_notice_is_sent_also_when_its_link_is_dead_before(ada, app, thief, passkey, mails):
    [listed] = thief.get("/api/passkeys/").json
    json = {"proof": prove_by(thief, passkey)}
    assert thief.call("DELETE", f"/api/passkeys/{listed['id']}/", json=json).status_code == 204
    first, second = mails()
    assert first.subject == "A passkey was added to your account"
    assert "#token" not in first.text
    assert "Then ask the operator of this service" in first.text
    assert second.subject == "A passkey was removed from your account"


def test_an_account_that_is_deactivated_keeps_the_right_of_its_owner(ada, app, token):
    for active, expected in ((False, 400), (True, 204)):
        with app.app_context():
            administration.set_active(administration.find_user("ada"), active)
        assert undo(ada, token).status_code == expected


def test_the_export_names_the_link_without_its_secret(ada, thief, token, rows):
    answer = thief.get("/api/user/export/")
    links = [(link["purpose"], link["email"]) for link in answer.json["links"]]
    assert links == [("undo_factors", HOME)]
    for secret in (token, *rows(select(OneTimeToken.digest))):
        assert secret not in answer.text


def test_of_twenty_at_once_one_succeeds(ada, app, token, trail, rows):
    def attempt(_):
        return undo(Caller(app.test_client()), token)

    with ThreadPoolExecutor(20) as pool:
        answers = [answer.status_code for answer in pool.map(attempt, range(20))]
    assert answers.count(204) == 1
    assert set(answers) <= {204, 400, 503}
    assert trail().count(Event.FACTORS_UNDONE) == 1
    live = select(func.count(Session.id)).where(Session.revoked_at.is_(None))
    assert rows(live) == [0]
