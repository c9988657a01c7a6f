"""Signing keys: how they are derived and encrypted."""

import hashlib

from pycoder.keys.key import encrypt_key, generate_key
from pycoder.secret_key import derive_key
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import KEY, secret_key
from tests.support.tokens import unb64


def test_the_key_is_32_derived_bytes_that_neither_secret_nor_kid_give_away():
    assert len(KEY.private_key) == 32
    assert KEY.private_key not in (
        SECRET_KEY.encode()[:32],
        hashlib.sha256(SECRET_KEY.encode()).digest(),
    )
    assert not KEY.private_key.startswith(unb64(KEY.kid))


def test_each_secret_and_each_purpose_has_a_key_of_its_own():
    derived = {
        derive_key(secret, purpose)
        for secret in (SECRET_KEY, SECRET_KEY + "x")
        for purpose in ("a test", "token", "cookie")
    }
    assert len(derived) == 6
    assert secret_key(SECRET_KEY) == KEY
    assert secret_key(SECRET_KEY + "x").kid != KEY.kid


def test_two_seals_of_one_key_have_nothing_in_common():
    key = generate_key("EdDSA")
    assert encrypt_key(SECRET_KEY, key)[:12] != encrypt_key(SECRET_KEY, key)[:12]
