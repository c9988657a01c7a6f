"""Invitations: an account without a password, until its user sets one by a mailed link."""

import bcrypt
import pytest
from sqlalchemy import select

from pycoder.models.mail import OneTimeToken
from pycoder.models.user import User
from tests.support.callers import Caller

EVE = "eve@example.com"
PASSWORD = "a pass phrase of her own"


def outcome(answer):
    return answer.status_code, (answer.json or {}).get("code")


@pytest.fixture
def eve(app):
    return Caller(app.test_client(), EVE, PASSWORD)


@pytest.fixture
def invitation(root, act, mails):
    """The token of the link in an invitation to ``eve``."""
    mails()
    answer = act("POST", "users/", email=EVE, first_name="Eve", roles=["editor"])
    assert answer.status_code == 201, answer.json
    [mail] = mails()
    assert mail.to == EVE
    assert "/accept-invitation#token=" in mail.text
    assert "127.0.0.1" not in mail.text
    return mail.token


def accept(caller, token, password=PASSWORD):
    body = {"token": token, "new_password": password}
    return caller.client.post("/api/password/reset/confirm/", json=body)


def test_an_invited_user_sets_a_password_and_signs_in(eve, invitation, root, mails, trail):
    answer = accept(eve, invitation)
    assert (answer.status_code, answer.data, "Set-Cookie" in answer.headers) == (204, b"", False)
    assert mails() == []
    assert trail()[-1] == "invitation.accepted"
    user = eve.try_login().json["user"]
    assert (user["email"], user["email_verified"], user["first_name"]) == (EVE, True, "Eve")
    assert user["roles"] == ["editor"]
    assert outcome(accept(eve, invitation)) == (400, "link_invalid")


def test_an_invitation_is_answered_with_the_account(root, act, setting, invitation):
    setting("REGISTRATION_OPEN", False)
    shown = act("POST", "users/", email="Mallory@Example.com", username="mal").json
    names = ("email", "username", "roles", "is_active", "has_password", "email_verified")
    assert [shown[name] for name in names] == ["mallory@example.com", "mal", [], True, False, False]
    assert root.get(f"/api/admin/users/{shown['id']}/").json["username"] == "mal"


def test_an_invitation_lasts_seven_days(eve, root, act, mails, clock):
    mails()
    assert act("POST", "users/", email=EVE).status_code == 201
    [mail] = mails()
    clock.shift(7 * 86_400 - 1)
    weak = accept(eve, mail.token, "short")
    assert outcome(weak) == (400, "validation_error")
    clock.shift(1)
    assert outcome(accept(eve, mail.token)) == (400, "link_invalid")


def test_an_invitation_can_be_sent_again_and_replaces_the_one_before(
    eve, invitation, root, act, id_of, mails, trail
):
    again = act("POST", "users/", email=EVE)
    assert outcome(again) == (400, "validation_error")
    assert again.json["error_codes"] == {"email": [{"code": "taken"}]}
    assert mails() == []
    assert act("POST", f"users/{id_of(EVE)}/password-reset/").status_code == 204
    [mail] = mails()
    assert "/accept-invitation#token=" in mail.text
    assert trail()[-1] == "user.invited"
    assert outcome(accept(eve, invitation)) == (400, "link_invalid")
    assert accept(eve, mail.token).status_code == 204
    assert act("POST", f"users/{id_of(EVE)}/password-reset/").status_code == 204
    [mail] = mails()
    assert "/reset-password#token=" in mail.text


def test_an_invitation_over_the_limit_is_refused_and_ends_no_link(
    eve, invitation, root, act, id_of, mails, trail, clock
):
    for _ in range(2):
        assert act("POST", f"users/{id_of(EVE)}/password-reset/").status_code == 204
    *_, mail = mails()
    before = trail()
    refused = act("POST", f"users/{id_of(EVE)}/password-reset/")
    assert outcome(refused) == (429, "too_many_requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert mails() == []
    assert trail() == [*before, "limit.reached"]
    assert accept(eve, mail.token).status_code == 204


def test_an_administrator_that_was_only_invited_is_no_other_one(eve, root, act, mails):
    mails()
    assert act("POST", "users/", email=EVE, roles=["admin"]).status_code == 201
    [mail] = [mail for mail in mails() if "/accept-invitation" in mail.text]
    body = {"password": root.password}
    refused = root.call("DELETE", "/api/user/", json=body)
    assert outcome(refused) == (409, "last_admin")
    assert accept(eve, mail.token).status_code == 204
    assert root.call("DELETE", "/api/user/", json=body).status_code == 204


def test_a_stranger_uses_up_no_invitation(anyone, invitation, root, act, id_of, mails):
    for _ in range(4):
        anyone.client.post("/api/password/reset/", json={"email": EVE})
    mails()
    assert act("POST", f"users/{id_of(EVE)}/password-reset/").status_code == 204
    assert ["/accept-invitation" in mail.text for mail in mails()] == [True]


def test_a_deactivated_invitation_is_no_way_in(eve, invitation, root, act, id_of):
    assert act("PATCH", f"users/{id_of(EVE)}/", is_active=False).status_code == 200
    assert outcome(accept(eve, invitation)) == (400, "link_invalid")


def test_a_stranger_learns_nothing_from_an_invited_account(
    eve, invitation, app, monkeypatch, no_limits
):
    costs = []
    original = bcrypt.hashpw

    def count(password, salt):
        costs.append(salt[:7])
        return original(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", count)

    def answers(email):
        costs.clear()
        caller = Caller(app.test_client(), email)
        given = [caller.try_login(password=word) for word in ("!", PASSWORD, "x" * 200)]
        return [(one.status_code, {**one.json, "request_id": ""}) for one in given], [*costs]

    invited, unknown = answers(EVE), answers("nobody@example.com")
    assert invited == unknown
    assert len(invited[1]) == 3


def test_a_registration_does_not_take_an_invited_address(eve, invitation):
    answer = eve.register()
    assert answer.json["error_codes"] == {"email": [{"code": "taken"}]}
    assert accept(eve, invitation).status_code == 204


def test_a_reset_that_the_user_asks_for_ends_the_invitation(eve, invitation, mails):
    assert eve.client.post("/api/password/reset/", json={"email": EVE}).status_code == 202
    [mail] = mails()
    assert accept(eve, mail.token).status_code == 204
    assert outcome(accept(eve, invitation, "another pass phrase")) == (400, "link_invalid")
    assert eve.try_login().status_code == 200


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"email": "required"}),
        ({"email": "eve"}, {"email": "not_an_email"}),
        ({"email": EVE, "username": "e"}, {"username": "invalid_username"}),
        ({"email": EVE, "username": "root"}, {"username": "taken"}),
        ({"email": "ROOT@example.com"}, {"email": "taken"}),
        ({"email": EVE, "first_name": "\u202e"}, {"first_name": "invalid_name"}),
        ({"email": EVE, "roles": ["Editor"]}, {"roles": "invalid_role"}),
        ({"email": EVE, "new_password": "x"}, {"new_password": "unknown_field"}),
        ({"email": EVE, "is_active": False}, {"is_active": "unknown_field"}),
    ],
)
def test_an_invalid_invitation_leaves_nothing_behind(body, errors, root, act, rows, waiting):
    before = waiting()
    answer = act("POST", "users/", **body)
    assert outcome(answer) == (400, "validation_error")
    given = answer.json["error_codes"]
    assert {field: one["code"] for field, [one] in given.items()} == errors
    assert rows(select(User.email)) == [root.email]
    assert waiting() == before


def test_an_invitation_is_no_link_of_another_purpose(eve, invitation, rows):
    for path in ("email/verify", "email/undo", "factors/undo"):
        answer = eve.client.post(f"/api/{path}/", json={"token": invitation})
        assert outcome(answer) == (400, "link_invalid")
    assert "invite" in rows(select(OneTimeToken.purpose))
