"""What administrators do to accounts: its effect, the trail, the mails, and what users see."""

import json

import pytest
from sqlalchemy import select

from pycoder.models.audit import AuditEvent
from pycoder.models.user import User
from tests.support.clocks import later
from tests.support.second_factors import confirm_address, enrol


@pytest.fixture
def bob(bob, app):
    confirm_address(app, bob.email)
    return bob


@pytest.fixture
def events(rows):
    """Return a function that lists what is recorded with an actor, oldest first."""

    def read():
        recorded = rows(
            select(AuditEvent).where(AuditEvent.actor_id.is_not(None)).order_by(AuditEvent.id)
        )
        return [(one.event, one.user_id, one.actor_id, one.reason) for one in recorded]

    return read


def outcome(answer):
    return answer.status_code, (answer.json or {}).get("code")


ACTIONS = {
    "grant": ("PATCH", "", {"roles": ["admin"]}, [("role.granted", "admin")], "admin_granted"),
    "deactivate": (
        *("PATCH", "", {"is_active": False}),
        *([("user.deactivated", None)], "account_deactivated"),
    ),
    "sessions": ("DELETE", "sessions/", {}, [("sessions.all_ended", None)], "sessions_ended"),
    "factors": ("DELETE", "factors/", {}, [("factors.reset", None)], "factors_reset"),
    "password": (
        *("POST", "password-reset/", {}),
        *([("password.voided", None)], "password_voided"),
    ),
}
SUBJECTS = {
    "admin_granted": "You are an administrator now",
    "account_deactivated": "Your account was deactivated",
    "sessions_ended": "All your devices were signed out",
    "factors_reset": "Two-step sign-in was turned off for your account",
    "password_voided": "Your password is no longer valid",
}


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_on_the_trail_and_mailed_to_the_user(
    name, app, root, bob, act, id_of, events, mails
):
    method, path, body, recorded, mail = ACTIONS[name]
    enrol(bob, app)
    mails()
    bob_id, root_id = id_of(bob.email), root.user().json["id"]
    answer = act(method, f"users/{bob_id}/{path}", **body)
    assert answer.status_code in (200, 204)
    assert events() == [(event, bob_id, root_id, reason) for event, reason in recorded]
    [sent] = mails()
    assert sent.to == bob.email
    assert sent.subject == SUBJECTS[mail]
    assert "127.0.0.1" not in sent.text


def test_users_see_that_an_administrator_did_it_but_not_from_where(root, bob, act, id_of, mails):
    bob_id = id_of(bob.email)
    assert act("PATCH", f"users/{bob_id}/", roles=["editor"]).status_code == 200
    assert act("DELETE", f"users/{bob_id}/sessions/").status_code == 204
    exported_mails = {"template": "sessions_ended", "ip": None, "user_agent": None}
    bob.login()
    activity = bob.get("/api/user/activity/").json
    export = bob.get("/api/user/export/").json
    for shown in (activity, export["events"]):
        by_admin = {
            one["event"]: (one["ip"], one["user_agent"]) for one in shown if one["by_admin"]
        }
        assert by_admin == {"role.granted": (None, None), "sessions.all_ended": (None, None)}
        own = [one for one in shown if one["event"] == "login.succeeded"]
        assert {(one["ip"], one["by_admin"]) for one in own} == {("127.0.0.1", False)}
        assert not any("actor_id" in one for one in shown)
    [mail] = [one for one in export["mails"] if one["template"] == "sessions_ended"]
    assert exported_mails.items() <= mail.items()
    shown = root.get(f"/api/admin/users/{bob_id}/").json["events"]
    granted = next(one for one in shown if one["event"] == "role.granted")
    assert granted["ip"] == "127.0.0.1"
    assert granted["actor_id"] == root.user().json["id"]


def test_roles_take_effect_at_once_and_sign_nobody_out(root, bob, act, id_of):
    former, bob_id = bob.tokens.access, id_of(bob.email)
    changed = act("PATCH", f"users/{bob_id}/", roles=["editor", "billing", "editor"])
    assert changed.json["roles"] == ["billing", "editor"]
    assert outcome(bob.user(former)) == (401, "token_expired")
    assert bob.user(bob.refresh().json["access"]).json["roles"] == ["billing", "editor"]
    assert act("PATCH", f"users/{bob_id}/", roles=[]).json["roles"] == []


def test_a_deactivated_user_is_out_until_activated(root, bob, act, id_of, mails, events):
    bob_id = id_of(bob.email)
    assert act("PATCH", f"users/{bob_id}/", is_active=False).json["is_active"] is False
    assert outcome(bob.user()) == (401, "token_revoked")
    assert outcome(bob.try_login()) == (400, "invalid_credentials")
    before = events()
    assert act("PATCH", f"users/{bob_id}/", is_active=False).status_code == 200
    assert events() == before  # it was no change
    assert act("PATCH", f"users/{bob_id}/", is_active=True).json["is_active"] is True
    assert bob.try_login().status_code == 200
    assert events()[-1][0] == "user.activated"


def test_a_voided_password_is_set_again_by_its_user_alone(root, bob, act, id_of, mails, app):
    mails()
    bob_id = id_of(bob.email)
    answer = act("POST", f"users/{bob_id}/password-reset/")
    assert (answer.status_code, answer.data) == (204, b"")
    assert outcome(bob.user()) == (401, "token_revoked")
    assert outcome(bob.try_login()) == (400, "invalid_credentials")
    assert root.get(f"/api/admin/users/{bob_id}/").json["has_password"] is False
    [mail] = mails()
    assert "/reset-password#token=" in mail.text
    body = {"token": mail.token, "new_password": "quite another pass phrase"}
    assert bob.client.post("/api/password/reset/confirm/", json=body).status_code == 204
    bob.password = body["new_password"]
    assert bob.try_login().status_code == 200


def test_factors_are_removed_and_the_password_stays(root, bob, act, id_of, app):
    bob_id = id_of(bob.email)
    assert outcome(act("DELETE", f"users/{bob_id}/factors/")) == (404, "not_found")
    enrol(bob, app)
    shown = root.get(f"/api/admin/users/{bob_id}/").json
    assert (shown["second_factor"], shown["factors"]) == (True, ["totp", "recovery_code"])
    assert bob.try_login().status_code == 403
    assert act("DELETE", f"users/{bob_id}/factors/").status_code == 204
    assert bob.try_login().status_code == 200
    shown = root.get(f"/api/admin/users/{bob_id}/").json
    assert (shown["second_factor"], shown["factors"]) == (False, [])


def test_ended_sessions_are_mailed_once(root, bob, act, id_of, mails):
    bob_id = id_of(bob.email)
    mails()
    for _ in range(2):
        assert act("DELETE", f"users/{bob_id}/sessions/").status_code == 204
    assert [mail.to for mail in mails()] == [bob.email]
    assert root.get(f"/api/admin/users/{bob_id}/").json["sessions"] == []


@pytest.mark.parametrize("body", [{"roles": []}, {"is_active": False}, {"is_active": True}, {}])
def test_administrators_do_not_change_their_own_account(body, root, act, id_of):
    answer = act("PATCH", f"users/{id_of(root.email)}/", **body)
    assert outcome(answer) == (409, "own_account")
    assert root.get("/api/admin/users/").status_code == 200


def test_the_last_administrator_does_not_leave_the_service(root, bob, act, id_of):
    body = {"password": root.password}
    assert outcome(root.call("DELETE", "/api/user/", json=body)) == (409, "last_admin")
    assert act("PATCH", f"users/{id_of(bob.email)}/", roles=["admin"]).status_code == 200
    assert root.call("DELETE", "/api/user/", json=body).status_code == 204


@pytest.mark.parametrize("value", ["false", "off", "", 0, 1, 1.0, [], {}])
def test_only_a_boolean_activates_or_deactivates(value, root, bob, act, id_of, events):
    answer = act("PATCH", f"users/{id_of(bob.email)}/", is_active=value)
    assert answer.json["error_codes"] == {"is_active": [{"code": "not_a_boolean"}]}
    assert bob.user().status_code == 200
    assert events() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", ""),
        ("DELETE", "sessions/"),
        ("DELETE", "factors/"),
        ("POST", "password-reset/"),
    ],
)
def test_an_account_that_does_not_exist_is_not_found(method, path, root, act, events):
    for user_id in (999_999, 2**63 - 1, 0):
        assert outcome(act(method, f"users/{user_id}/{path}")) == (404, "not_found")
        assert outcome(root.get(f"/api/admin/users/{user_id}/")) == (404, "not_found")
    for number in (2**63, 10**30):  # no path of the API
        assert act(method, f"users/{number}/{path}").status_code in (404, 405)
        assert outcome(root.get(f"/api/admin/users/{number}/")) == (404, "not_found")
    assert events() == []


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        (["Admin"], "invalid_role"),
        (["a" * 41], "invalid_role"),
        (["editor\n"], "invalid_role"),
        ([None], "invalid_role"),
        ([["admin"]], "invalid_role"),
        ("admin", "not_a_list"),
        ({"admin": True}, "not_a_list"),
        ([f"role{number}" for number in range(21)], "too_many"),
    ],
)
def test_roles_are_a_short_list_of_plain_names(roles, code, root, bob, act, id_of, rows):
    answer = act("PATCH", f"users/{id_of(bob.email)}/", roles=roles)
    assert outcome(answer) == (400, "validation_error")
    assert [one["code"] for one in answer.json["error_codes"]["roles"]] == [code]
    assert bob.user().json["roles"] == []


@pytest.mark.parametrize(
    "body",
    [{"password_hash": "x"}, {"email": "x@example.com"}, {"new_password": "x"}, {"id": 1}],
)
def test_nothing_else_can_be_changed(body, root, bob, act, id_of):
    answer = act("PATCH", f"users/{id_of(bob.email)}/", **body)
    assert outcome(answer) == (400, "validation_error")
    assert {one["code"] for codes in answer.json["error_codes"].values() for one in codes} == {
        "unknown_field"
    }


def test_a_wrong_password_is_on_the_trail_of_the_administrator(root, bob, id_of, rows):
    target = f"/api/admin/users/{id_of(bob.email)}/"
    body = {"password": "some other pass phrase", "roles": ["editor"]}
    assert outcome(root.call("PATCH", target, json=body)) == (400, "invalid_credentials")
    activity = root.get("/api/user/activity/").json[0]
    assert (activity["event"], activity["by_admin"]) == ("proof.refused", False)
    assert activity["ip"] == "127.0.0.1"
    assert rows(select(User.is_active)) == [True, True]


def test_what_is_secret_is_in_no_answer(root, bob, app, act, id_of, rows):
    enrol(bob, app)
    hashes = rows(select(User.password_hash))
    shown = [
        root.get("/api/admin/users/").text,
        root.get(f"/api/admin/users/{id_of(bob.email)}/").text,
        root.get("/api/admin/events/").text,
        act("PATCH", f"users/{id_of(bob.email)}/", roles=["x"]).text,
    ]
    for text in shown:
        assert not any(hashed in text for hashed in hashes)
        assert "secret" not in text
        assert "refresh_jti" not in text


def test_the_clients_of_a_deleted_administrator_are_forgotten_too(root, bob, act, id_of, rows):
    bob_id, root_id = id_of(bob.email), id_of(root.email)
    assert act("PATCH", f"users/{bob_id}/", roles=["admin"]).status_code == 200
    answer = root.call("DELETE", "/api/user/", json={"password": root.password})
    assert answer.status_code == 204
    acts = rows(select(AuditEvent).where(AuditEvent.actor_id == root_id))
    assert {event.user_id for event in acts} >= {bob_id}
    assert None not in [event.forget_at for event in acts]
    with later(days=30):
        bob.login()
    acts = rows(select(AuditEvent).where(AuditEvent.actor_id == root_id))
    assert {(event.ip, event.user_agent) for event in acts} == {(None, None)}


@pytest.mark.parametrize("void", [True, False])
def test_an_account_that_is_activated_without_a_password_is_mailed_a_link(
    void, root, bob, act, id_of, mails
):
    path = f"users/{id_of(bob.email)}/"
    assert act("PATCH", path, is_active=False).status_code == 200
    if void:
        assert act("POST", f"{path}password-reset/").status_code == 204
    mails()
    assert act("PATCH", path, is_active=True).status_code == 200
    assert ["/reset-password" in mail.text for mail in mails()] == [True] * void


def test_the_tail_of_the_trail_tells_an_administrator_from_the_user(bob, root, flask):
    ids = {caller: caller.user().json["id"] for caller in (bob, root)}
    change = {"roles": ["editor"], "password": root.password}
    assert root.call("PATCH", f"/api/admin/users/{ids[bob]}/", json=change).status_code == 200
    last = flask("audit", "tail", "-n", "1", "--json").output
    event = json.loads(last)
    assert (event["event"], event["reason"]) == ("role.granted", "editor")
    assert (event["user_id"], event["actor_id"]) == (ids[bob], ids[root])
