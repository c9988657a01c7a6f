"""Registration."""

import unicodedata
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.constants import PASSWORD

TAKEN = "An account with this e-mail address exists already."


def test_registration_answers_with_the_user_and_a_pair(anyone, rows, trail):
    response = anyone.register(username="ada", first_name="Ada", last_name="Lovelace")
    assert response.status_code == 201
    user = response.json["user"]
    assert list(user) == [
        "id", "email", "email_verified", "username", "first_name", "last_name", "date_joined",
        "roles", "external_id",
    ]  # fmt: skip
    assert user["email"] == "ada@example.com"
    assert (user["username"], user["first_name"], user["last_name"]) == ("ada", "Ada", "Lovelace")
    assert user["email_verified"] is False
    assert datetime.fromisoformat(user["date_joined"]).utcoffset() == timedelta(0)
    assert anyone.user().json == user
    assert rows(select(func.count(Session.id))) == [1]
    assert trail() == [Event.USER_REGISTERED]


def test_an_email_is_stored_in_lower_case_and_compared_without_case(anyone, rows):
    anyone.email = "Ada.Lovelace@EXAMPLE.com"
    assert anyone.register().json["user"]["email"] == "ada.lovelace@example.com"
    anyone.email = "ADA.LOVELACE@example.COM"
    assert anyone.try_login().status_code == 200
    assert anyone.register(username="other").json["errors"] == {"email": [TAKEN]}
    assert rows(select(func.count(User.id))) == [1]


TWINS = {
    "case": "JOSÉ@example.com",
    "decomposed": unicodedata.normalize("NFD", "josé@example.com"),
    "full width": "ｊosé@example.com",
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS.keys())
def test_spellings_of_one_address_are_one_account(anyone, twin):
    anyone.email = "josé@example.com"
    assert anyone.register().status_code == 201
    anyone.email = twin
    assert anyone.register(username="other").json["errors"] == {"email": [TAKEN]}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("strasse@example.com", "straße@example.com", False),
        ("straße@example.com", "STRAẞE@example.com", True),
        ("ada@fass.de", "ada@faß.de", False),
        ("οδος@example.com", "ΟΔΟΣ@example.com", True),
        ("ada@βόλος.com", "ada@βόλοσ.com", False),
        ("ilk@example.com", "ılk@example.com", False),
        ("i\u0307lk@example.com", "İlk@example.com", True),
        ("paypal@example.com", "p\u0430ypal@example.com", False),
        ("fi@example.com", "ﬁ@example.com", True),
        ("a@ﬁ.com", "a@fi.com", True),
        ("a@xn--bcher-kva.com", "a@BÜCHER.com", True),
    ],
    ids=[
        *("sharp s", "capital sharp s", "sharp s in the domain"),
        *("final sigma", "final sigma in the domain"),
        *("dotless i", "dotted I", "cyrillic a", "ligature", "ligature domain"),
        "domain in ASCII",
    ],
)
def test_lookalikes_are_decided(anyone, first, second, same):
    anyone.email = first
    assert anyone.register(username="first").status_code == 201
    anyone.email = second
    assert anyone.register(username="second").status_code == (400 if same else 201)


def test_any_spelling_of_a_domain_finds_its_own_account(anyone):
    owners = {}
    for email in ("ada@fass.de", "ada@faß.de"):
        anyone.email = email
        owners[email] = anyone.register().json["user"]["id"]
    spellings = {"ada@fass.de": ("Ada@FASS.de",)}
    spellings["ada@faß.de"] = (
        "ADA@FAß.DE",
        "ada@xn--fa-hia.de",
        "ada@XN--FA-HIA.de",
        "ada＠ｆａß。ｄｅ",
    )
    for email, spelt in spellings.items():
        for anyone.email in spelt:
            assert anyone.try_login().json["user"]["id"] == owners[email]


@pytest.mark.parametrize(
    "email",
    [
        "no-at", "@example.com", "ada@", "ada@nowhere", "a b@example.com", '"a b"@example.com',
        "ada@example..com", "ada@[127.0.0.1]", "a@" + "b" * 250 + ".com", "ﷺ" * 60 + "@example.com",
        "=?utf-8?q?b?=ob@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(anyone, email, rows):
    anyone.email = email
    response = anyone.register(username="ada")
    assert response.status_code == 400
    assert list(response.json["errors"]) == ["email"]
    assert rows(select(User)) == []


def test_a_mail_header_cannot_be_smuggled_in(anyone, rows):
    for field in ("email", "first_name", "last_name", "username"):
        response = anyone.register(**{field: "ada@example.com\r\nBcc: eve@example.com"})
        assert list(response.json["errors"]) == [field]
    assert rows(select(User)) == []


@pytest.mark.parametrize("username", ["ada", "Ada.Lovelace+1_-", "アイダ", "x" * 150])
def test_a_username_is_letters_digits_and_four_signs(anyone, username):
    assert anyone.register(username=username).json["user"]["username"] == username
    assert (
        anyone.client.post(
            "/api/login/", json={"username": username.upper(), "password": PASSWORD}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "username", ["ab", "x" * 151, "a b c", "bob@example.com", "a/b/c", "<script>", "ﷺ" * 20]
)
def test_another_username_is_refused(anyone, username):
    assert list(anyone.register(username=username).json["errors"]) == ["username"]


def test_ones_own_address_may_be_the_username(anyone):
    assert anyone.register(username="Ada@example.com").status_code == 201
    assert anyone.try_login().status_code == 200


def test_a_username_is_taken_without_regard_to_case(ada, anyone):
    anyone.email = "carol@example.com"
    assert anyone.register(username="ADA").json["errors"] == {
        "username": ["An account with this username exists already."]
    }


@pytest.mark.parametrize(
    ("email", "starts"),
    [("ada@example.org", "ada-"), ("x@example.com", "x__"), ("a!b#c@example.com", "abc")],
)
def test_a_username_left_out_comes_from_the_address(ada, anyone, email, starts):
    anyone.email = email
    assert anyone.register().json["user"]["username"].startswith(starts)


def test_many_people_with_one_local_part_can_register(anyone, rows):
    for n in range(12):
        anyone.email = f"info@company{n}.com"
        assert anyone.register().status_code == 201
    assert len(set(rows(select(User.username_key)))) == 12


def test_a_field_that_is_missing_is_named_in_a_sentence_for_its_user(client):
    answer = client.post("/api/register/", json={})
    assert [*answer.json["errors"].values()] == [["This field is required."]] * 2


def test_the_second_password_must_be_the_first(anyone):
    assert anyone.register(password2="something else").json["errors"] == {
        "password2": ["The two passwords differ."]
    }
    answer = anyone.register(password="short", password2="something else", email="x")
    assert set(answer.json["errors"]) == {"password", "password2", "email"}
    assert anyone.register(password2=PASSWORD).status_code == 201


def test_all_that_is_wrong_is_said_at_once(anyone):
    errors = anyone.register(email="x", username="y", password="z").json["errors"]
    assert set(errors) == {"email", "username", "password"}


def test_closed_registration_says_so(anyone, setting, rows):
    setting("REGISTRATION_OPEN", False)
    response = anyone.register()
    assert (response.status_code, response.json["code"]) == (403, "registration_closed")
    assert rows(select(User)) == []


def test_an_id_is_never_given_twice(ada, app, anyone, rows):

    old = ada.tokens
    with app.app_context():
        administration.delete_user(administration.find_user("ada@example.com"))
    assert ada.user(old.access).json["code"] == "token_revoked"
    assert ada.register().status_code == 201
    assert ada.user(old.access).json["code"] == "token_revoked"
    assert ada.refresh(old.refresh).json["code"] == "token_revoked"
    assert len(set(rows(select(AuditEvent.user_id)))) == 2
