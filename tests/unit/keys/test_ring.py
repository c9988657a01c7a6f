"""The key ring verifies its own tokens, and none of the forgeries."""

import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt import InvalidTokenError

from pycoder.keys.key import Key
from pycoder.keys.ring import KeyRing
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import (
    CLAIMS,
    FORGERIES,
    GOOD,
    HEADER,
    KEY,
    KEYS,
    OWN_KEY,
    each_forgery,
    public_key_texts,
    secret_key,
    sign_json,
)

each_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


@pytest.fixture
def ring():
    return KeyRing([KEY])


@pytest.fixture(params=["EdDSA", "ES256", "RS256"])
def asymmetric(request):
    return KEYS[request.param]


@each_key
def test_the_ring_opens_what_it_signed(key):
    header, claims = KeyRing([key]).verify(KeyRing([key]).sign(CLAIMS, typ="at+jwt"))
    assert header == HEADER | {"alg": key.algorithm, "kid": key.kid}
    assert claims == CLAIMS


@each_key
def test_the_ring_opens_a_token_that_was_made_by_hand_with_its_key(key):
    header = HEADER | {"alg": key.algorithm, "kid": key.kid}
    assert KeyRing([key]).verify(sign_json(header, secret=key)) == (header, CLAIMS)


@each_forgery
def test_the_ring_opens_no_forgery(algorithm, name):
    for ring in (KeyRing([KEYS[algorithm]]), KeyRing(KEYS.values())):
        with pytest.raises(InvalidTokenError):
            ring.verify(FORGERIES[algorithm][name])


@each_key
def test_no_single_character_of_a_token_can_be_changed(key):
    ring = KeyRing([key])
    good = ring.sign(CLAIMS, typ="at+jwt")
    for place, character in enumerate(good):
        other = "." if character != "." else "A"
        for change in (other, "A" if character != "A" else "B", "_" if character != "_" else "-"):
            with pytest.raises(InvalidTokenError):
                ring.verify(good[:place] + change + good[place + 1 :])


@given(
    st.one_of(st.text(), st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{1,50}", fullmatch=True))
)
def test_any_other_text_is_an_invalid_token_and_nothing_worse(text):
    with pytest.raises(InvalidTokenError):
        KeyRing([KEY]).verify(text)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_signed_bytes_are_opened_as_json_or_are_an_invalid_token(header, payload):
    with pytest.raises(InvalidTokenError):
        KeyRing([KEY]).verify(sign_json(header, payload))


def test_the_first_key_signs_and_all_of_them_open(ring):
    newer = secret_key(SECRET_KEY[::-1])
    both = KeyRing([newer, KEY])
    assert both.verify(GOOD)[1] == CLAIMS
    assert both.verify(both.sign(CLAIMS, typ="at+jwt"))[0]["kid"] == newer.kid
    with pytest.raises(InvalidTokenError):
        ring.verify(both.sign(CLAIMS, typ="at+jwt"))


def test_a_key_that_has_left_the_ring_opens_nothing():
    with pytest.raises(InvalidTokenError):
        KeyRing([secret_key(SECRET_KEY[::-1])]).verify(GOOD)


def test_a_pair_of_keys_signs_and_opens_beside_a_secret_one(asymmetric):
    both = KeyRing([asymmetric, KEY])
    token = both.sign(CLAIMS, typ="at+jwt")
    assert both.verify(token) == (
        HEADER | {"alg": asymmetric.algorithm, "kid": asymmetric.kid},
        CLAIMS,
    )
    assert both.verify(GOOD) == (HEADER, CLAIMS)


def test_no_form_of_a_public_key_serves_as_a_secret(asymmetric):
    both = KeyRing([asymmetric, KEY])
    for text in public_key_texts(asymmetric).values():
        for kid, alg in itertools.product(
            (asymmetric.kid, KEY.kid), ("HS256", asymmetric.algorithm)
        ):
            with pytest.raises(InvalidTokenError):
                both.verify(sign_json(HEADER | {"kid": kid, "alg": alg}, secret=text))


def test_each_key_opens_only_what_was_signed_with_it_and_by_its_algorithm(asymmetric):
    both = KeyRing([asymmetric, KEY])
    posing = Key(KEY.kid, asymmetric.algorithm, asymmetric.private_key, None)
    with pytest.raises(InvalidTokenError):
        both.verify(KeyRing([posing]).sign(CLAIMS, typ="at+jwt"))
    with pytest.raises(InvalidTokenError):
        both.verify(sign_json(HEADER | {"kid": asymmetric.kid}))
    with pytest.raises(InvalidTokenError):
        both.verify(sign_json(HEADER | {"kid": asymmetric.kid, "alg": asymmetric.algorithm}))


def test_addresses_in_a_header_are_never_visited(ring):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        for name in ("jku", "x5u", "kid", "typ", "iss"):
            with pytest.raises(InvalidTokenError):
                ring.verify(sign_json(HEADER | {name: url}, secret=OWN_KEY))
        with pytest.raises(BlockingIOError):
            listener.accept()
