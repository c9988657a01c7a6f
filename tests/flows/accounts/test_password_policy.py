"""Passwords that are accepted and refused."""

import unicodedata

import pytest
from sqlalchemy import select

from pycoder.models.user import User
from tests.support.parameters import on_sqlite

pytestmark = on_sqlite


@pytest.mark.parametrize("length", [73, 128, 512, 513, 20_000])
def test_a_long_password_at_login_tells_nothing_about_the_account(ada, anyone, length):
    ada.password = anyone.password = "p" * length
    anyone.email = "nobody@example.com"
    known, unknown = ada.try_login(), anyone.try_login()
    assert known.status_code == unknown.status_code == 400
    assert known.json["code"] == unknown.json["code"]
    assert known.json["detail"] == unknown.json["detail"]


def test_nul_is_refused(anyone, ada):
    anyone.email = "carol@example.com"
    anyone.password = "password\0password"
    assert anyone.register().json["errors"] == {"password": ["NUL is not allowed."]}
    assert ada.try_login(password=f"{ada.password}\0{ada.password}").status_code == 400


@pytest.mark.parametrize(
    "password",
    [
        "8 points",
        "correct horse battery staple",
        '" pw with edges  "',
        "\U0001f600" * 8,
        "\U0001f600" * 64,
        "e\u0301" * 128,
        "日本語の合言葉です",
    ],
)
def test_any_characters_make_a_password(anyone, password):
    anyone.password = password
    assert anyone.register().status_code == 201
    assert anyone.try_login().status_code == 200
    anyone.password = password[:-1]
    assert anyone.try_login().status_code == 400


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("seven77", "Use at least 8 characters."),
        ("\U0001f600" * 7, "Use at least 8 characters."),
        ("e\u0301" * 7, "Use at least 8 characters."),
        ("p" * 129, "Use at most 128 characters."),
        ("e\u0301" * 129, "Use at most 128 characters."),
        ("ada@example.com", "Use something other"),
        ("ADA@EXAMPLE.COM", "Use something other"),
        ("adalovelace", "Use something other"),
        ("adalovelaceadalovelace", "Use something other"),
        ("PyCoderPyCoder", "Use something other"),
    ],
)
def test_a_bad_password_is_refused_with_its_reason_and_never_echoed(anyone, password, reason, rows):
    response = anyone.register(username="adalovelace", password=password)
    assert response.status_code == 400
    assert response.json["errors"]["password"][0].startswith(reason)
    assert password not in response.text
    assert rows(select(User)) == []


COMMON = (
    "12345678",
    "iloveyou1",
    "PassWord",
    "password123",
    "PASSWORD123",
    "123456789012345",
    "passwordpassword",
    "qwertyuiopasdfgh",
)
REFUSED = {
    "password": ["Many people use this password, so it is tried first. Use a few unrelated words."]
}


@pytest.mark.parametrize("password", COMMON)
def test_a_common_password_is_refused_wherever_one_is_chosen(
    app, ada, anyone, flask, setting, password, rows, stored
):
    setting("PASSWORD_BLOCKLIST", True)
    anyone.email, anyone.password = "carol@example.com", password
    response = anyone.register()
    assert (response.status_code, response.json["errors"]) == (400, REFUSED)
    assert password not in response.text
    before = stored[1]()
    for words in (("create", "carol@example.com"), ("set-password", "ada")):
        done = flask("users", *words, "--password-stdin", stdin=f"{password}\n")
        assert (done.exit_code, done.stderr) == (1, f"Error: password: {REFUSED['password'][0]}\n")
    assert rows(select(User.password_hash)) == [before]


@pytest.mark.parametrize("listed", COMMON[-4:])
def test_only_whole_common_passwords_are_refused_and_only_new_ones(
    ada, anyone, setting, listed, stored
):
    anyone.email, anyone.password = "carol@example.com", f"xx{listed}yy"
    setting("PASSWORD_BLOCKLIST", True)
    assert anyone.register().status_code == 201
    setting("PASSWORD_BLOCKLIST", False)
    anyone.email, anyone.password = "dave@example.com", listed
    assert anyone.register().status_code == 201
    setting("PASSWORD_BLOCKLIST", True)
    assert anyone.try_login().status_code == 200


def test_composed_and_decomposed_are_one_password_and_ligatures_are_not(anyone):
    anyone.password = unicodedata.normalize("NFC", "élégance ﬁ")
    assert anyone.register().status_code == 201
    anyone.password = unicodedata.normalize("NFD", "élégance ﬁ")
    assert anyone.try_login().status_code == 200
    anyone.password = "élégance fi"
    assert anyone.try_login().status_code == 400


def test_edges_are_not_trimmed(anyone):
    anyone.password = "  eight eight  "
    assert anyone.register().status_code == 201
    anyone.password = anyone.password.strip()
    assert anyone.try_login().status_code == 400
