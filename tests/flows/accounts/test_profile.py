"""The profile: changed in parts."""

import pytest

from pycoder.audit import Event
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import PASSWORD
from tests.support.emails import move, rename, verify
from tests.support.requests import problem


def test_a_username_that_was_the_address_follows_it(app, mails):
    """No name may pose as another's address: soon the old one may be somebody else's."""
    ada = Caller(app.test_client())
    ada.register(username="ada@example.com")
    mails()
    move(ada, "ada@example.org")
    verify(ada, mails()[1].token)
    assert ada.user().json["username"] == "ada@example.org"
    heir = Caller(app.test_client(), password="the pass phrase of the heir")
    with later(days=7):  # until then, the change can be undone
        ada.try_login(email="ada@example.org")
        assert heir.register().status_code == 201
        assert heir.try_login().json["user"]["id"] == heir.user().json["id"]
        assert rename(ada, username="ada@example.com").status_code == 400


# --- profile


def test_a_profile_can_be_changed_in_parts(ada, trail):
    before = ada.user().json
    answer = rename(ada, username="Lovelace", first_name="Ada")
    assert answer.status_code == 200
    assert answer.json == {**before, "username": "Lovelace", "first_name": "Ada"}
    assert rename(ada, last_name="Lovelace", first_name="").json["last_name"] == "Lovelace"
    assert ada.user().json["first_name"] == ""
    seen = trail()
    assert seen[-1] == Event.USER_UPDATED
    assert rename(ada).status_code == rename(ada, username="Lovelace").status_code == 200
    assert trail() == seen  # nothing has changed
    body = {"username": "LOVELACE", "password": PASSWORD}
    assert ada.client.post("/api/login/", json=body).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"username": ""},
        {"username": "ab"},
        {"username": "bob@example.com"},
        {"username": "BOB"},
        {"username": "1815"},
        {"username": "١٨١٥"},
        {"first_name": "Ada\r\nBcc: x@example.org"},
        {"first_name": "Ada \u202egro.live"},
        {"email": "new@example.com"},
        {"email_verified": True},
        {"is_active": False},
        {"id": 7},
        {"password_hash": "x"},
    ],
)
def test_another_profile_is_refused_and_changes_nothing(fields, ada, bob, rows):
    before = ada.user().json
    answer = rename(ada, **{"last_name": "Changed", **fields})
    assert problem(answer) == (400, "validation_error")
    assert list(answer.json["errors"]) == list(fields)
    assert ada.user().json == before


def test_ones_own_name_is_not_taken(ada):
    assert rename(ada, username="ADA").json["username"] == "ADA"
    assert rename(ada, username="Ada@Example.com").status_code == 200


def test_who_has_which_username_is_asked_as_rarely_as_at_a_registration(ada, bob, trail):
    asked = [rename(ada, username="bob").status_code for _ in range(31)]
    assert asked == [400] * 30 + [429]
    assert trail()[-1] == Event.LIMIT_REACHED
    assert rename(ada, first_name="Ada").status_code == 200
    assert rename(bob, username="bobby").status_code == 200
