"""The command that finishes the restoration of a backup."""

import json
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, select, text, update

from pycoder.audit import Event
from pycoder.db.base import Base
from pycoder.extensions import db
from pycoder.mail import links
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OneTimeToken, OutgoingMail
from pycoder.models.mfa import Totp
from pycoder.models.session import Session, StatusCounter
from pycoder.models.user import User
from pycoder.sessions import restoration
from tests.support.application import change
from tests.support.callers import Caller
from tests.support.keys import code, kid_of, kids
from tests.support.second_factors import enrol, half, second_step


@pytest.fixture
def restored(store, clock, flask):
    """Return a function that runs the command, and then lets this process load the keys."""

    def run(*words):
        done = flask("restored", "--yes", "--json", *words)
        clock()
        return done

    return run


def test_all_users_are_signed_out_and_can_sign_in_again(
    restored, ada, bob, rows, trail, monkeypatch
):
    monkeypatch.setattr(restoration, "BATCH", 2)
    kid, tokens = kid_of(ada.tokens.access), ada.tokens
    ada.login()
    done = restored()
    assert json.loads(done.stdout) == {"sessions_ended": 3, "jwks_kept_for": 600}
    assert "changed their password since" in done.stderr
    for access, refresh in (tokens, ada.tokens, bob.tokens):
        assert code(ada.user(access)) == code(ada.refresh(refresh)) == "token_invalid"
    assert rows(select(Session.id).where(Session.revoked_at.is_(None))) == []
    assert trail()[-3:] == [Event.KEY_CREATED, Event.KEY_RETIRED, Event.SYSTEM_RESTORED]
    assert kid_of(ada.login().access) != kid
    assert kids(ada) == [kid_of(ada.tokens.access)]
    assert code(ada.user()) == 200


def test_no_link_of_the_backup_is_valid_and_notices_are_still_sent(restored, app, ada, rows):
    body = {"current_password": ada.password, "new_password": "another long pass phrase"}
    assert ada.call("POST", "/api/password/change/", json=body).status_code == 200
    assert ada.client.post("/api/password/reset/", json={"email": ada.email}).status_code == 202
    with app.app_context():
        secret = links.issue(rows(select(User.id))[0], Purpose.RESET)
        db.session.commit()
    assert Template.RESET_PASSWORD in rows(select(OutgoingMail.template))
    assert restored().exit_code == 0
    assert rows(select(OneTimeToken.digest)) == []
    assert rows(select(OutgoingMail.template)) == [Template.PASSWORD_CHANGED]
    body = {"token": secret, "new_password": "the pass phrase of a thief"}
    answer = ada.client.post("/api/password/reset/confirm/", json=body)
    assert answer.json["code"] == "link_invalid"


def test_the_right_to_undo_a_first_factor_outlives_the_loss(restored, app, ada, mails):
    enrol(ada, app)
    [token] = [mail.token for mail in mails() if "/undo-factors" in mail.text]
    assert restored().exit_code == 0
    answer = ada.client.post("/api/factors/undo/", json={"token": token})
    assert answer.status_code == 204
    assert [mail.subject for mail in mails()] == ["Choose a new password for your account"]


KEPT = {
    "users": "accounts are as they were",
    "user_roles": "as the accounts; what was revoked since has to be revoked again",
    "sessions": "revoked",
    "devices": "a device signs no user in, and needs the second factor again",
    "totp": "present codes are used up",
    "recovery_codes": "as passwords that were changed since, they are what they were",
    "passkeys": "accounts are as they were",
    "signing_keys": "replaced",
    "adopted_tokens": "as no takeover runs any more, none of them is traded",
    "takeover_closed": "as no takeover runs any more, nobody needs it",
    "status_counter": "advanced",
    "token_blocklist": "refers to tokens of replaced keys",
    "oauth_clients": "services have their secrets",
    "rate_limits": "limits still apply, and expire",
    "leases": "expire",
    "audit_events": "the trail",
}


def test_of_every_table_it_is_decided_what_a_backup_may_revive():
    deleted = {key.class_.__tablename__ for key, _ in restoration.DELETED}
    assert sorted([*deleted, *KEPT]) == sorted(Base.metadata.tables)


def test_ids_go_on_after_a_gap_in_every_table_that_generates_them(restored, app, ada, rows):
    def newest():
        columns = (User.id, AuditEvent.id, OutgoingMail.id)
        return [rows(select(func.max(column)))[0] for column in columns]

    before = newest()
    assert restored("--gap", "5000").exit_code == 0
    assert Caller(app.test_client(), "bob@example.com").register().status_code == 201
    assert [new - old > 5000 for new, old in zip(newest(), before, strict=True)] == [True] * 3


def test_a_table_without_a_row_gets_a_gap_too(restored, app, rows):
    with app.app_context(), db.engine.begin() as connection:
        if db.engine.name == "sqlite":
            connection.execute(text("DELETE FROM sqlite_sequence"))
        else:
            connection.execute(text("ALTER SEQUENCE users_id_seq RESTART"))
    assert restored().exit_code == 0
    assert Caller(app.test_client()).register().status_code == 201
    assert rows(select(User.id))[0] > restoration.GAP


@pytest.mark.parametrize("last", [1, 65_535, 65_536, None])
def test_indexes_go_on_in_a_new_list(restored, app, ada, rows, last):
    if last is not None:
        change(app, update(StatusCounter).values(last=last))
    change(app, update(Session).values(status_idx=last or 70_000))
    if last is None:
        change(app, StatusCounter.__table__.delete())
    assert restored().exit_code == 0
    ada.login()
    idx = max(rows(select(Session.status_idx)))
    assert idx % 65_536 == 0
    assert idx > (last or 70_000) + restoration.GAP


@contextmanager
def crash(app, beginning):
    """Let the statements with this beginning fail."""

    def fail(connection, cursor, statement, *_):
        if statement.startswith(beginning):
            raise MemoryError

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


def test_what_was_interrupted_is_repeated(restored, app, ada, bob, rows, trail, monkeypatch):
    monkeypatch.setattr(restoration, "BATCH", 1)
    with crash(app, "DELETE FROM outbox"):
        assert restored().exit_code != 0
    assert Event.SYSTEM_RESTORED not in trail()
    assert Template.VERIFY_EMAIL in rows(select(OutgoingMail.template))
    for _ in range(2):
        assert json.loads(restored().stdout)["sessions_ended"] == 0
    assert rows(select(OutgoingMail.id)) == []
    assert trail().count(Event.SYSTEM_RESTORED) == 2
    assert code(ada.try_login()) == 200


def test_without_confirmation_nothing_happens(store, flask, ada, trail):
    before = trail()
    done = flask("restored", stdin="n\n")
    assert (done.exit_code, "signs all users out" in done.output) == (1, True)
    assert (trail(), code(ada.user())) == (before, 200)


def test_keys_that_the_secret_key_does_not_decrypt_are_replaced(store, clock, app_with, ada):
    app = app_with(SECRET_KEY="vKq2Zr8mXt5LwYb9NcJh4GdSf7PaUe3T")
    assert code(app.test_client().get("/readyz")) == "keys_unreadable"
    assert app.test_cli_runner().invoke(args=("restored", "--yes")).exit_code == 0
    clock()
    assert code(Caller(app.test_client()).try_login()) == 200


def test_a_database_of_another_version_is_migrated_first(app, flask, ada, trail):
    before = trail()
    change(app, text("UPDATE alembic_version SET version_num = '0000'"))
    done = flask("restored", "--yes")
    change(app, text("UPDATE alembic_version SET version_num = '0001'"))
    assert (done.exit_code, "flask db upgrade" in done.stderr) == (1, True)
    assert (trail(), code(ada.user())) == (before, 200)


def test_codes_and_remembered_devices_of_the_backup_are_not_valid(restored, app, ada):
    authenticator, _ = enrol(ada, app)
    ticket, used = half(ada), authenticator.code(1)
    remembered = second_step(ada, ticket, code=used, remember_device=True)
    assert remembered.status_code == 200
    with app.app_context():  # the backup was made before this login
        db.session.execute(update(Totp).values(last_step=0))
        db.session.commit()
    assert restored().exit_code == 0
    refused = second_step(ada, half(ada), code=used)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_code")
