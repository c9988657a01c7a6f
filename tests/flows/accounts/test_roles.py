"""Roles: who has them, what they change, and when."""

import json

import pytest
from sqlalchemy import select

from pycoder.models.mail import OutgoingMail
from pycoder.models.role import UserRole
from pycoder.sessions import lifecycle
from pycoder.tokens import introspection
from tests.support.callers import Caller
from tests.support.tokens import claims_of


@pytest.fixture
def service(app):
    """The credentials of a service."""
    with app.app_context():
        return "shop", introspection.create_client("shop")


def grant(flask, *words):
    done = flask("users", "grant", *words)
    assert done.exit_code == 0, done.output
    return done.output


def code(answer):
    return answer.status_code, (answer.json or {}).get("code")


def test_a_role_is_in_the_user_the_tokens_and_introspection(ada, flask, client, service):
    for role in ("editor", "billing.read"):
        grant(flask, "ada", role)
    access = ada.refresh().json["access"]
    roles = ["billing.read", "editor"]
    assert ada.user(access).json["roles"] == claims_of(access)["roles"] == roles
    asked = client.post("/api/token/introspect/", json={"token": access}, auth=service)
    assert asked.json["roles"] == roles
    answer = Caller(client).try_login()
    assert answer.json["user"]["roles"] == roles
    assert claims_of(answer.json["tokens"]["access"])["roles"] == roles
    assert ada.get("/api/user/export/", access).json["user"]["roles"] == roles


@pytest.mark.parametrize("command", ["grant", "revoke"])
def test_a_change_refuses_the_access_token_at_once_and_signs_nobody_out(
    command, ada, bob, flask, client, service
):
    if command == "revoke":
        grant(flask, "ada", "editor")
        ada.login()
    former = ada.tokens.access
    assert ada.user(former).status_code == 200
    assert flask("users", command, "ada", "editor").exit_code == 0
    assert code(ada.user(former)) == (401, "token_expired")
    assert code(ada.verify(former)) == (401, "token_expired")
    asked = client.post("/api/token/introspect/", json={"token": former}, auth=service)
    assert asked.json == {"active": False}
    renewed = ada.refresh().json["access"]
    assert ada.user(renewed).json["roles"] == (["editor"] if command == "grant" else [])
    assert bob.user().status_code == 200


def test_roles_that_come_back_make_no_former_token_valid(ada, flask, client, service):
    former = ada.tokens.access
    grant(flask, "ada", "editor")
    assert flask("users", "revoke", "ada", "editor").exit_code == 0
    assert code(ada.user(former)) == (401, "token_expired")
    asked = client.post("/api/token/introspect/", json={"token": former}, auth=service)
    assert asked.json == {"active": False}
    assert ada.user(ada.refresh().json["access"]).status_code == 200


def test_a_former_token_still_logs_out(ada, flask):
    grant(flask, "ada", "editor")
    assert ada.logout(ada.tokens.access).status_code == 204
    assert code(ada.refresh()) == (401, "token_revoked")


def test_a_retry_after_a_change_has_the_roles_of_now(ada, flask):
    first = ada.refresh(key="12345678").json
    grant(flask, "ada", "editor")
    again = ada.refresh(key="12345678").json
    assert again["refresh"] == first["refresh"]
    assert ada.user(again["access"]).json["roles"] == ["editor"]


def test_what_was_granted_before_is_no_change(ada, flask, trail):
    assert "Granted" in grant(flask, "ada", "editor")
    ada.login()
    before = trail()
    assert "already" in grant(flask, "ada", "editor")
    assert "does not have" in flask("users", "revoke", "ada", "admin").output
    assert (trail(), ada.user().status_code) == (before, 200)


def test_a_change_is_on_record_with_its_role(ada, flask, rows):
    grant(flask, "ada", "editor")
    assert flask("users", "revoke", "ada", "editor").exit_code == 0
    events = ada.get("/api/user/activity/", ada.refresh().json["access"]).json
    assert [one["event"] for one in events[:2]] == ["role.revoked", "role.granted"]
    tail = flask("audit", "tail").output
    assert "role.granted" in tail
    assert "editor" in tail
    assert rows(select(UserRole.role)) == []


def test_a_new_administrator_is_mailed(ada, flask, rows):
    grant(flask, "ada", "editor")
    assert "admin_granted" not in rows(select(OutgoingMail.template))
    grant(flask, "ada", "admin")
    assert "admin_granted" in rows(select(OutgoingMail.template))


@pytest.mark.parametrize(
    "role", ["", "Admin", "1st", "a b", "a,b", "ä", "a" * 41, "editor\n", "-", "a\0"]
)
def test_a_role_is_a_plain_name(ada, flask, role, rows):
    done = flask("users", "grant", "ada", role)
    assert (done.exit_code, "begin with a letter" in done.stderr) == (1, True)
    assert rows(select(UserRole.role)) == []


def test_roles_are_listed_by_role(ada, bob, flask):
    grant(flask, "bob", "editor")
    listed = [json.loads(line) for line in flask("users", "list", "--json").stdout.splitlines()]
    assert [user["roles"] for user in listed] == [[], ["editor"]]
    assert "  roles=editor  " in flask("users", "show", "bob").output
    only = flask("users", "list", "--role", "editor").output
    assert "bob@example.com" in only
    assert "ada@example.com" not in only


def test_the_roles_of_a_deleted_account_are_gone(ada, flask, rows):
    grant(flask, "ada", "admin")
    assert flask("users", "delete", "ada", "--yes").exit_code == 0
    assert rows(select(UserRole.role)) == []


def test_a_deactivated_account_can_be_given_a_role(ada, flask):
    assert flask("users", "deactivate", "ada").exit_code == 0
    grant(flask, "ada", "editor")
    assert flask("users", "activate", "ada").exit_code == 0
    assert ada.try_login().json["user"]["roles"] == ["editor"]


@pytest.mark.parametrize("method", ["register", "profile"])
def test_nobody_gives_roles_to_themselves(method, app, ada):
    if method == "register":
        caller = Caller(app.test_client(), "eve@example.com")
        answer = caller.register(roles=["admin"])
    else:
        answer = ada.call("PATCH", "/api/user/", json={"roles": ["admin"]})
    assert code(answer) == (400, "validation_error")
    assert answer.json["error_codes"] == {"roles": [{"code": "unknown_field"}]}


@pytest.mark.parametrize(("setting_value", "asked"), [("admins", True), ("optional", False)])
def test_an_administrator_signs_in_with_a_second_factor(
    setting_value, asked, ada, bob, flask, setting, app
):
    setting("SECOND_FACTOR", setting_value)
    grant(flask, "ada", "admin")
    answer = ada.try_login()
    assert bob.try_login().status_code == 200
    expected = (403, "email_unverified") if asked else (200, None)
    assert code(answer) == expected


def test_the_last_active_administrator_does_not_leave(ada, bob, flask):
    grant(flask, "ada", "admin")
    grant(flask, "bob", "admin")
    assert flask("users", "deactivate", "bob").exit_code == 0
    body, access = {"password": ada.password}, ada.refresh().json["access"]
    assert code(ada.call("DELETE", "/api/user/", access, json=body)) == (409, "last_admin")
    assert ada.user(access).status_code == 200
    assert flask("users", "activate", "bob").exit_code == 0
    assert ada.call("DELETE", "/api/user/", access, json=body).status_code == 204


def test_a_role_that_is_granted_during_a_refresh_is_in_the_new_token(ada, flask, monkeypatch):
    original, pending = lifecycle.session_expiry, ["editor"]

    def grant_first(*args, **kwargs):
        if pending:
            grant(flask, "ada", pending.pop())
        return original(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "session_expiry", grant_first)
    access = ada.refresh().json["access"]
    assert claims_of(access)["roles"] == ["editor"]
    assert ada.user(access).status_code == 200
