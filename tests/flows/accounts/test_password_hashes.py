"""Stored password hashes: verified, upgraded, and never a fault."""

import bcrypt
import pytest
from sqlalchemy import select

from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT
from tests.support.password_hashes import FOREIGN, KNOWN, foreign


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
        "scrypt:1048576:8:1$salt$00",
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


def test_replacing_an_old_hash_leaves_the_sessions_alone(ada, stored):
    earlier = ada.tokens
    stored[0](FOREIGN["plain bcrypt"])
    assert ada.try_login(password=KNOWN).status_code == 200
    assert ada.user(earlier.access).status_code == 200
    assert ada.refresh(earlier.refresh).status_code == 200
