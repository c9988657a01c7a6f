"""Signing keys: how they are derived and encrypted."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pycoder.keys.key import (
    decrypt_key,
    derive_refresh_key,
    encrypt_key,
    generate_key,
    name_key,
)
from pycoder.secret_key import derive_key
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import KEY, KEYS, secret_key
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


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_key_of_refresh_tokens_follows_from_the_stored_key_and_gives_nothing_away(key):
    derived = derive_refresh_key(key)
    assert len(derived.private_key) == 32
    assert derived.private_key != key.private_key
    assert (derived.algorithm, derived.jwk) == ("HS256", None)
    assert derived.kid not in key.kid
    assert not derived.private_key.startswith(unb64(derived.kid))
    stored = encrypt_key(SECRET_KEY, key)
    assert derive_refresh_key(decrypt_key(SECRET_KEY, key.kid, key.algorithm, stored)) == derived


SMALLEST = {
    "69k4jZlPxKz-": KEY,
    "ZjdW-4XOdiPF": name_key("EdDSA", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
    "lnst-1DuZ6Bg": name_key("ES256", ec.derive_private_key(1, ec.SECP256R1())),
}


@pytest.mark.parametrize(("kid", "key"), SMALLEST.items(), ids=SMALLEST)
def test_the_key_of_refresh_tokens_is_the_same_in_every_version(kid, key):
    """A change would sign out all users."""
    assert derive_refresh_key(key).kid == kid
