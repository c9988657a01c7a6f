"""White space and invisible characters around e-mail addresses and usernames."""

import json

import pytest
from sqlalchemy import select

from pycoder.models.user import User
from tests.support.constants import PASSWORD
from tests.support.parameters import on_sqlite, table
from tests.support.password_hashes import FOREIGN

pytestmark = on_sqlite

AROUND = {
    "spaces": (" ", "  "),
    "line break": ("\n", "\r\n"),
    "no-break space": ("", "\xa0"),
    "ideographic space": ("\u3000", ""),
    "zero width space": ("\u200b", "\u200b"),
    "byte order mark": ("\ufeff", ""),
    "soft hyphen": ("", "\xad"),
    "isolates": ("\u2066", "\u2069"),
    "marks of direction": ("\u200f\u202a", "\u202c\u200e"),
    "all of it": (" \u2066\xa0", "\u2069\u2003\x85\t"),
}


def dressed(case, text):
    return case[0] + text + case[1]


@table(AROUND)
def test_what_surrounds_an_identifier_is_dropped_at_every_call(case, anyone, rows, mails):
    anyone.email = dressed(case, "ada@example.com")
    user = anyone.register(username=dressed(case, "ada.l")).json["user"]
    assert (user["email"], user["username"]) == ("ada@example.com", "ada.l")
    assert anyone.try_login().status_code == 200
    assert anyone.try_login(email=None, username=dressed(case, "ADA.L")).status_code == 200
    assert anyone.register(username="other").json["errors"].keys() == {"email"}
    renamed = anyone.call("PATCH", "/api/user/", json={"username": dressed(case, "lady")})
    assert renamed.json["username"] == "lady"
    mails()
    for path, extra in (("password/reset", {}), ("email/change", {"password": PASSWORD})):
        address = "ada@example.com" if path == "password/reset" else "new@example.com"
        body = {"email": dressed(case, address), **extra}
        assert anyone.call("POST", f"/api/{path}/", json=body).status_code == 202
        assert address in [mail.to for mail in mails()]
    assert rows(select(User.username_key)) == ["lady"]


@table(AROUND)
def test_what_surrounds_an_identifier_is_dropped_on_the_command_line(case, flask, rows):
    done = flask(
        *("users", "create", dressed(case, "ada@example.com"), "--password-stdin"),
        *("--username", dressed(case, "ada.l")),
        stdin=PASSWORD,
    )
    assert done.exit_code == 0
    [user] = rows(select(User))
    assert (user.email, user.username, user.username_key) == ("ada@example.com", "ada.l", "ada.l")
    for identifier in ("ada@example.com", "ada.l", str(user.id)):
        assert flask("users", "show", dressed(case, identifier)).exit_code == 0


@table(AROUND)
def test_what_surrounds_an_identifier_is_dropped_by_the_import(case, flask, rows):
    line = {
        "id": 7,
        "email": dressed(case, "ada@example.com"),
        "username": dressed(case, "ada.l"),
        "date_joined": "2021-03-04T05:06:07Z",
        "password": FOREIGN["plain bcrypt"],
    }
    assert flask("users", "import", "-", stdin=json.dumps(line)).exit_code == 0
    [user] = rows(select(User))
    assert (user.email, user.email_key) == ("ada@example.com", "ada@example.com")
    assert (user.username, user.username_key) == ("ada.l", "ada.l")


@pytest.mark.parametrize("space", [" ", "\xa0", "\u200b", "\xad", "\u202e"])
def test_what_is_within_an_identifier_is_not_dropped(space, anyone):
    anyone.email = f"ada{space}l@example.com"
    answer = anyone.register(username=f"ada{space}l")
    assert answer.json["errors"].keys() == {"email", "username"}


@pytest.mark.parametrize("email", ["", " ", "\u200b", "\ufeff \xa0"])
def test_an_address_of_nothing_else_is_none(email, anyone):
    anyone.email = email
    assert anyone.register().json["errors"].keys() == {"email"}
    assert anyone.try_login().json["errors"].keys() == {"email"}


@pytest.mark.parametrize("space", [" ", "\xa0", "\u200b", "\ufeff"])
def test_a_password_keeps_what_surrounds_it(space, anyone, app):
    anyone.password = f"{space}{PASSWORD}{space}"
    assert anyone.register().status_code == 201
    assert anyone.try_login().status_code == 200
    anyone.password = PASSWORD
    assert anyone.try_login().json["code"] == "invalid_credentials"
