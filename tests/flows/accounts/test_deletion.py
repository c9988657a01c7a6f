"""The deletion of an account: told to its owner, and kept as evidence for a while."""

import pytest
from sqlalchemy import select

from pycoder.accounts import administration, emails, profile
from pycoder.audit import Event
from pycoder.errors import NotFound, TokenRevoked
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OneTimeToken, OutgoingMail
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.sessions import pruning
from pycoder.tokens.jwt import decode_token
from pycoder.tokens.state import load_token_state
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import PASSWORD
from tests.support.emails import change_address, move, resend, said, undo, verify
from tests.support.password_calls import ask, change, prove
from tests.support.requests import problem

DELETED = "Your account was deleted"
CLIENT = (AuditEvent.ip, AuditEvent.user_agent, AuditEvent.request_id)


def delete(caller):
    body = {"password": caller.password}
    headers = {"User-Agent": "the deleting browser"}
    return caller.call("DELETE", "/api/user/", json=body, headers=headers)


def events_of(user_id, *columns):
    return select(*columns).where(AuditEvent.user_id == user_id).order_by(AuditEvent.id)


def test_a_deleted_account_is_gone_with_all_that_opens_it(ada, bob, mails, rows):
    user_id = ada.user().json["id"]
    prove(ada)
    mails()
    move(ada, "ada@example.org")
    answer = delete(ada)
    assert (answer.status_code, answer.data) == (204, b"")
    assert problem(ada.user()) == (401, "token_revoked")
    assert problem(ada.refresh()) == (401, "token_revoked")
    assert rows(select(User.email)) == ["bob@example.com"]
    for table in (Session, OneTimeToken, PendingAuthentication):
        assert user_id not in rows(select(table.user_id)), table
    assert rows(events_of(user_id, AuditEvent.event))[-1] == Event.USER_DELETED
    assert ada.try_login().status_code == 400
    assert ada.register().status_code == 201


def test_its_owner_is_told_and_what_waited_is_sent_but_links_are_not(ada, mails, waiting):
    verify(ada, mails()[0].token)
    change(ada)
    ada.password = "a password that nobody has yet"
    ada.login()
    ask(ada)
    resend(ada)
    move(ada, "ada@example.org")
    assert delete(ada).status_code == 204
    told = mails()
    assert said(told) == [
        ("ada@example.com", "Your password was changed"),
        ("ada@example.com", "A new sign-in to your account"),  # the change forgot the device
        ("ada@example.com", "Your e-mail address is about to change"),
        ("ada@example.com", DELETED),
    ]
    assert all("#token" not in mail.text for mail in told)
    assert "127.0.0.1" in told[-1].text
    assert waiting() == 0


@pytest.mark.parametrize("sent", [True, False])
def test_an_owner_whose_address_a_thief_has_changed_is_told_as_well(sent, ada, mails):
    """The link that undoes the change may have been mailed, or still wait."""
    first = change_address(ada, "thief@example.org", mails)
    move(ada, "thief@example.net")
    [link] = [mail for mail in mails() if mail.to == "thief@example.net"]
    verify(ada, link.token)
    told = mails() if sent else []
    assert delete(ada).status_code == 204
    told = [mail for mail in mails() if mail.subject == DELETED]
    assert [mail.to for mail in told] == [
        "thief@example.net",
        "ada@example.com",
        "thief@example.org",
    ]
    assert problem(undo(ada, first)) == (400, "link_invalid")


def test_a_command_tells_the_owner_and_leaves_evidence_too(ada, flask, mails, rows):
    user_id = ada.user().json["id"]
    mails()
    assert flask("users", "delete", "ada", "--yes").exit_code == 0
    assert said(mails()) == [("ada@example.com", DELETED)]
    assert rows(events_of(user_id, AuditEvent.event))[-1] == Event.USER_DELETED
    assert "127.0.0.1" in rows(events_of(user_id, AuditEvent.ip))


# --- evidence


def test_the_trail_keeps_the_clients_of_its_events_for_thirty_days(app, ada, bob, rows):
    user_id, other_id = ada.user().json["id"], bob.user().json["id"]
    delete(ada)
    last = events_of(user_id, AuditEvent.user_agent)
    assert rows(last)[-1] == "the deleting browser"
    with later(days=30, seconds=-1):
        bob.login()
    for column in CLIENT:
        assert None not in rows(events_of(user_id, column)), column
    events = rows(events_of(user_id, AuditEvent.event))
    with later(days=30):
        bob.login()
    for column in CLIENT:
        assert set(rows(events_of(user_id, column))) == {None}, column
        assert None not in rows(events_of(other_id, column)), column
    assert rows(events_of(user_id, AuditEvent.event)) == events


def test_they_are_forgotten_in_batches_and_by_the_command_at_once(app, ada, bob, rows, flask):
    user_id = ada.user().json["id"]
    for _ in range(50):
        ada.logout(access=ada.login().access)
    ada.login()
    delete(ada)
    clients = select(AuditEvent.ip).where(AuditEvent.user_id == user_id, AuditEvent.ip.is_not(None))
    before = len(rows(clients))
    with later(days=30):
        bob.login()
        assert len(rows(clients)) == before - pruning.BATCH
        assert flask("tokens", "prune").exit_code == 0
    assert rows(clients) == []


# --- races


def test_what_was_let_in_before_the_deletion_ends_without_a_fault(ada, app, rows):
    with app.app_context():
        session = load_token_state(decode_token(ada.tokens.access))
        user = administration.find_user("ada")
        db.session.expunge(user)
        administration.delete_user(user)
        for late in (
            lambda: administration.delete_user(user),
            lambda: administration.set_active(user, False),
        ):
            with pytest.raises(NotFound):
                late()
            db.session.rollback()
        with pytest.raises(TokenRevoked):
            profile.export_account(session)
    assert rows(select(AuditEvent.event)).count(Event.USER_DELETED) == 1
    assert rows(select(OutgoingMail.template)) == ["account_deleted"]


def test_a_verification_that_is_asked_for_beside_the_deletion_is_not_mailed(ada, app, mails):
    mails()
    with app.app_context():
        session = load_token_state(decode_token(ada.tokens.access))
        delete(ada)
        emails.resend_verification(session)
    assert said(mails()) == [("ada@example.com", DELETED)]


def test_nobody_registers_and_deletes_to_fill_another_mailbox(app, mails):
    told = []
    for _ in range(5):
        caller = Caller(app.test_client(), "victim@example.com")
        caller.register()
        for _ in range(3):
            Caller(app.test_client(), "victim@example.com").login()
        assert caller.call("DELETE", "/api/user/", json={"password": PASSWORD}).status_code == 204
        told += mails()
    assert len(told) == 3
