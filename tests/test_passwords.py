import socket
import unicodedata

import bcrypt
import pytest
from sqlalchemy import select, update

from pycoder.extensions import db
from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT, hash_password, verify_password
from pycoder.passwords.policy import policy_violations

KNOWN = "correct horse é"
# made by libpass 1.9.4
LIBPASS = "$bcrypt-sha256$v=2,t=2b,r=4$puoGE1.i5E9pNsPcQOGnVu$eQxM9Wgz2dQMY.6U9sPiHK64yg7HjQO"
LIBPASS_LONG = "$bcrypt-sha256$v=2,t=2b,r=4$R3HDa01MN1/TfDrBUreTU.$fdkPb34aXKvrTJlLZIeDwMrUOYNFB3y"
# made by Django 5.2 at low cost
FOREIGN = {
    "pbkdf2": "pbkdf2_sha256$1000$BdoX6YQw7UtTVqnRft3KVF$"
    "3T8cwV0WtwNmLYZeSClE7C/cazugvoX6yhBnZe7vRVQ=",
    "bcrypt_sha256": "bcrypt_sha256$$2b$04$9McmUEOjRwCkUxKhIjkk6.UTZZbEaYBA1NWmUGheI7FTaw50c2vfC",
    "django bcrypt": "bcrypt$$2b$04$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    "plain bcrypt": "$2b$04$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    "argon2": "argon2$argon2id$v=19$m=64,t=1,p=8$Rkp1ZTNDdkp6Y0RkN2pEZVRZRzQwbQ$"
    "06VfKp1MPpKv4Nb/US9d2RiEpwzMMYCMFbgWmkUlKBM",
}

foreign = pytest.mark.parametrize("hashed", FOREIGN.values(), ids=FOREIGN.keys())


@pytest.fixture
def context(app):
    with app.app_context():
        yield


@pytest.fixture
def stored(app, rows):
    """Return a function that puts a hash into Ada's row, and one that reads it."""

    def put(hashed):
        with app.app_context():
            db.session.execute(update(User).values(password_hash=hashed))
            db.session.commit()

    return put, lambda: rows(select(User.password_hash))[0]


def test_the_format_is_the_published_one(context):
    assert verify_password(KNOWN, LIBPASS)
    assert verify_password("x" * 100, LIBPASS_LONG)
    assert not verify_password("x" * 99, LIBPASS_LONG)


def test_two_users_with_one_password_have_different_hashes(ada, bob, anyone, rows):
    anyone.email, anyone.password = "carol@example.com", bob.password
    assert anyone.register().status_code == 201
    hashes = rows(select(User.password_hash))
    assert len(set(hashes)) == 3
    assert all(HASH_FORMAT.fullmatch(hashed) for hashed in hashes)


@foreign
def test_a_foreign_hash_signs_in_and_is_replaced(ada, stored, hashed):
    put, read = stored
    put(hashed)
    ada.password = "wrong"
    assert ada.try_login().status_code == 400
    assert read() == hashed
    ada.password = KNOWN
    assert ada.try_login().status_code == 200
    assert HASH_FORMAT.fullmatch(read())
    assert ada.try_login().status_code == 200


def test_a_lower_cost_is_raised_and_a_current_hash_is_kept(ada, stored, setting):
    _, read = stored
    before = read()
    ada.login()
    assert read() == before
    setting("BCRYPT_ROUNDS", 5)
    ada.login()
    assert ",r=5$" in read()


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "x",
        "$2b$04$short",
        "$bcrypt-sha256$v=2,t=2b,r=4$damaged",
        "argon2$argon2id$x",
        "argon2$argon2id$v=19$m=64,t=1,p=8$x$y",
        "pbkdf2_sha256$99999999999$salt$digest",
    ],
)
def test_an_unreadable_hash_is_a_failed_login_and_an_entry_in_the_log(
    ada, stored, hashed, caplog, monkeypatch
):
    stored[0](hashed)
    done, hashpw = [], bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda *given: done.append(hashpw(*given)) or done[-1])
    response = ada.try_login()
    assert (response.status_code, response.json["code"]) == (400, "invalid_credentials")
    assert "cannot be read" in caplog.text
    assert len(done) == 1  # the decoy, or the answer would come sooner than for other accounts


def test_nothing_is_cut_at_72_bytes(anyone):
    anyone.password = "p" * 127 + "q"
    assert anyone.register().status_code == 201
    anyone.password = "p" * 128
    assert anyone.try_login().status_code == 400
    anyone.password = "p" * 72
    assert anyone.try_login().status_code == 400


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


def test_no_network_is_needed_to_judge_a_password(context, setting, monkeypatch):
    setting("PASSWORD_BLOCKLIST", True)
    monkeypatch.setattr(socket, "socket", None)
    assert policy_violations("qwertyuiop123")
    assert policy_violations("e\u0301") == ["Use at least 8 characters."]
    assert not policy_violations("correct horse battery staple")


@pytest.mark.parametrize(
    "password", ["Strasse1ß", "ﬁﬁﬁﬁﬁﬁﬁﬁ", "ı" * 9, "\U0001f600" * 9, "ß" * 128]
)
def test_a_password_that_folds_to_another_length_is_judged_as_well(context, setting, password):
    setting("PASSWORD_BLOCKLIST", True)
    assert policy_violations(password) == []


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


def test_a_decoy_of_the_current_cost_is_hashed_for_an_unknown_account(context, monkeypatch):
    made = []
    real = bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda *a: made.append(a[1]) or real(*a))
    assert not verify_password(KNOWN, None)
    assert [salt[:7] for salt in made] == [b"$2b$04$"]


def test_no_digest_can_be_cut_short_by_a_zero_byte(context):
    hashed = hash_password("password-0")
    assert [n for n in range(100) if verify_password(f"password-{n}", hashed)] == [0]


def test_replacing_an_old_hash_leaves_the_sessions_alone(ada, stored):
    earlier = ada.tokens
    stored[0](FOREIGN["plain bcrypt"])
    assert ada.try_login(password=KNOWN).status_code == 200
    assert ada.user(earlier.access).status_code == 200
    assert ada.refresh(earlier.refresh).status_code == 200
