"""Addresses and names: which are valid."""

import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pycoder.accounts.identifiers import (
    is_valid_name,
    normalize_email,
    suggest_usernames,
    trim_identifier,
)
from pycoder.errors import InvalidInput


@pytest.mark.parametrize(
    "name",
    [
        "", "Ada", "Ada King, Countess of Lovelace", "O'Brien", "Zoë", "Zoe\u0308", "李小龍",
        "葛\U000e0100城", "محمد", "דָּוִיד", "Nguyễn Thị", "नमस्ते", "ທ້າວ",
        "Ада", "A\u00a0B", "🦄", "x" * 150,
        "علی\u200cرضا",  # Persian: a non-joiner between joining letters
        "क\u094d\u200dषितिज",  # Hindi: a joiner after a virama
        "ශ\u0dca\u200dරී",  # Sinhala
    ],
)  # fmt: skip
def test_names_of_many_scripts_are_valid(name):
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(f"Ada{chr(n)}x" for n in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
        *(f"Ada{chr(n)}x" for n in (0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xAD, 0x61C, 0xE0041)),
        *(f"Ada{char}x" for char in "\0\n\x1b\x7f\x85\u2028\u2029\ud800\u3164\u115f\uffa0\u034f"),
        "A\u200dda", "A\u200cda", "\u200dAda", "Ada\u200c", "क\u094d\u200d",
        "Z" + "\u0300\u0301\u0302\u0303\u0304" * 20, "\u0301Ada", "x" * 151,
    ],
    ids=ascii,
)  # fmt: skip
def test_names_that_forge_or_hide_are_not(name):
    assert not is_valid_name(name)


@pytest.mark.parametrize("email", ["42@example.com", "12345@example.com", "٤٢٤٢@example.com"])
def test_no_suggested_username_is_a_number(email):
    assert not [name for name in suggest_usernames(email) if name.isdigit()]


LETTERS = st.sampled_from(
    [*"aZ09.-_+!#%'@ \"\\()[]<>,;:=?", "..", "xn--", "é", "ﬁ", "\u200b", "x" * 30]
)
DOMAINS = st.sampled_from(
    [
        "example.com", "EXAMPLE.com", "a-b.example.org", "faß.de", "xn--fa-hia.de", "example",
        "x.onion", "-a.com", "a..com", "a.com.", "1.2.3.4", "a_b.com", f"{'a' * 64}.com", "é.com",
        "x.c", "",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@example(local="x" * 64, domain="example.com")
@example(local="x" * 65, domain="example.com")
@given(local=st.lists(LETTERS, max_size=6).map("".join), domain=DOMAINS)
def test_an_address_is_valid_exactly_where_it_is_for_email_validator(local, domain):
    def library(email):
        checked = validate_email(unicodedata.normalize("NFKC", email), check_deliverability=False)
        return unicodedata.normalize("NFC", checked.normalized.lower())

    def outcome(function, email):
        try:
            return function(email)
        except (EmailNotValidError, InvalidInput):
            return None

    email = f"{local}@{domain}"
    if trim_identifier(email) == email and "=?" not in unicodedata.normalize("NFKC", email):
        assert outcome(normalize_email, email) == outcome(library, email)
