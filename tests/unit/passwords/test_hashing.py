"""Password hashes."""

import bcrypt

from pycoder.passwords.hashing import hash_password, verify_password
from tests.support.password_hashes import KNOWN, LIBPASS, LIBPASS_LONG


def test_the_format_is_the_published_one(context):
    assert verify_password(KNOWN, LIBPASS)
    assert verify_password("x" * 100, LIBPASS_LONG)
    assert not verify_password("x" * 99, LIBPASS_LONG)


def test_a_decoy_of_the_current_cost_is_hashed_for_an_unknown_account(context, monkeypatch):
    made = []
    real = bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda *a: made.append(a[1]) or real(*a))
    assert not verify_password(KNOWN, None)
    assert [salt[:7] for salt in made] == [b"$2b$04$"]


def test_no_digest_can_be_cut_short_by_a_zero_byte(context):
    hashed = hash_password("password-0")
    assert [n for n in range(100) if verify_password(f"password-{n}", hashed)] == [0]
