"""The commands for second factors."""

import json

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.device import Device
from pycoder.models.mfa import Passkey, RecoveryCode, Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session
from tests.support.callers import Caller
from tests.support.second_factors import enrol, half, prove, second_step


@pytest.fixture
def factors(ada, app, clock):
    return enrol(ada, app)


@pytest.fixture
def passkey(app):
    """Return a function that gives an account a passkey, as far as a command can tell."""

    def add(user_id):
        row = {"user_id": user_id, "credential_id": "AAAA", "public_key": b"", "aaguid": ""}
        row |= {"rp_id": "localhost", "backup_eligible": True, "backed_up": True}
        with app.app_context():
            db.session.add(Passkey(**row, name="My phone  left=9"))
            db.session.commit()

    return add


def lines(done):
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_operator_sees_which_accounts_have_a_second_factor(ada, bob, flask, factors):
    listed = lines(flask("users", "list", "--json"))
    assert [user["second_factor"] for user in listed] == [True, False]
    assert "  second_factor=True\n" in flask("users", "show", "ada").output
    assert "  second_factor=False\n" in flask("users", "show", "bob").output
    exported = lines(flask("users", "export"))
    assert not any("second_factor" in user for user in exported)  # an import would refuse it


def test_the_factors_of_an_account_are_shown_without_a_secret(
    ada, flask, factors, passkey, clock, rows
):
    authenticator, codes = factors
    at = now().isoformat()
    clock.shift(30)
    code = authenticator.code()
    answer = second_step(ada, half(ada), code=code, remember_device=True)
    assert answer.status_code == 200
    assert second_step(ada, ada_ticket(ada), recovery_code=codes[0]).status_code == 200
    passkey(answer.json["user"]["id"])
    [until] = rows(select(Device.remembered_until).where(Device.remembered_until.is_not(None)))
    used = now().isoformat()
    shown = lines(flask("users", "factors", "ada", "--json"))
    assert shown == [
        {"kind": "totp", "created_at": at, "last_used_at": used},
        {"kind": "recovery_codes", "left": 9},
        {
            "kind": "passkey",
            "created_at": used,
            "last_used_at": None,
            "id": shown[2]["id"],
            "name": "My phone  left=9",
            "synced": True,
        },
        {
            "kind": "remembered_device",
            "created_at": shown[3]["created_at"],
            "last_used_at": used,
            "remembered_until": until.isoformat(),
        },
    ]
    done = flask("users", "factors", "ada").output
    assert len(done.splitlines()) == 4
    assert '  name="My phone  left=9"  ' in done
    assert not any(secret in done for secret in (*codes, code))


def ada_ticket(caller):
    """Take a first step that no remembered device shortens."""
    return half(Caller(caller.client.application.test_client()))


def test_an_account_without_a_factor_has_no_codes(ada, flask):
    assert flask("users", "factors", "ada").output == "kind=recovery_codes  left=0\n"
    assert flask("users", "factors", "nobody").exit_code == 1


def test_a_reset_removes_every_factor_and_all_that_it_has_opened(
    ada, app, flask, factors, passkey, clock, mails, trail, rows
):
    authenticator, codes = factors
    clock.shift(30)
    remembered = second_step(ada, half(ada), code=authenticator.code(), remember_device=True)
    passkey(remembered.json["user"]["id"])
    clock.shift(30)
    proof, ticket = prove(ada, code=authenticator.code()), ada_ticket(ada)
    mails()
    done = flask("users", "reset-factors", "ada", "--yes")
    said = "Removed all second factors of ada@example.com, and ended all its sessions.\n"
    assert (done.exit_code, done.output) == (0, said)
    for model in (Totp, RecoveryCode, Passkey, PendingAuthentication):
        assert rows(select(model)) == []
    assert rows(select(Device).where(Device.remembered_until.is_not(None))) == []
    assert rows(select(Session).where(Session.revoked_at.is_(None))) == []
    assert ada.user().json["code"] == "token_revoked"
    answer = second_step(ada, ticket, recovery_code=codes[0])
    assert answer.json["code"] == "ticket_invalid"
    assert trail()[-1] == Event.FACTORS_RESET
    [mail] = mails()
    assert mail.to == ada.email
    assert mail.subject == "Two-step sign-in was turned off for your account"
    assert "From:" not in mail.text  # the command line has no address
    assert ada.try_login().status_code == 200
    assert ada.call("POST", "/api/factors/totp/", json={"proof": proof}).status_code == 401


def test_a_reset_asks_first_and_changes_nothing_without_a_yes(ada, flask, factors, rows, trail):
    done = flask("users", "reset-factors", "ada", stdin="n\n")
    assert done.exit_code == 1
    assert "Remove all second factors of ada@example.com?" in done.output
    assert len(rows(select(Totp))) == 1
    assert ada.user().status_code == 200
    assert Event.FACTORS_RESET not in trail()
    assert flask("users", "reset-factors", "ada", stdin="y\n").exit_code == 0
    assert rows(select(Totp)) == []


def test_there_is_nothing_to_reset_without_a_factor(ada, flask, mails, trail, waiting):
    mails()
    done = flask("users", "reset-factors", "ada", "--yes")
    assert (done.exit_code, done.stderr) == (1, "Error: user: This account has no second factor.\n")
    assert ada.user().status_code == 200
    assert Event.FACTORS_RESET not in trail()
    assert waiting() == 0


def test_the_factors_of_a_deactivated_account_can_be_reset(ada, flask, factors, rows):
    assert flask("users", "deactivate", "ada").exit_code == 0
    assert flask("users", "reset-factors", "ada", "--yes").exit_code == 0
    assert rows(select(Totp)) == []
    assert ada.try_login().json["code"] == "invalid_credentials"
    assert flask("users", "activate", "ada").exit_code == 0
    assert ada.try_login().status_code == 200


def test_a_reset_lifts_the_pauses_of_the_second_step(ada, app, flask, factors, clock):
    def fail(caller):
        answers = [
            second_step(caller, half(caller), code=authenticator.wrong_code()) for _ in range(11)
        ]
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]

    authenticator, _ = factors
    stranger = Caller(app.test_client(use_cookies=False))
    stranger.client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    fail(ada)
    fail(stranger)
    assert flask("users", "reset-factors", "ada", "--yes").exit_code == 0
    assert ada.try_login().status_code == 200
    authenticator, _ = enrol(ada, app)
    clock.shift(30)
    for caller in (ada, stranger):
        answer = second_step(caller, half(caller), code=authenticator.code())
        assert answer.status_code == 200, answer.json
        clock.shift(30)


def test_an_export_says_how_many_accounts_lose_their_second_factor(ada, bob, app, flask):
    assert flask("users", "export").stderr == ""
    enrol(ada, app)
    done = flask("users", "export", "--with-password-hashes")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.startswith("1 of these accounts have a second factor")
