"""Identifiers in the form that is compared."""

import pytest

from pycoder.models.user import normalize_identifier


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ada@example.com"),
        ("Straße@FAẞ.de", "straße@xn--fa-hia.de"),
        ("ada@XN--FA-HIA.de", "ada@xn--fa-hia.de"),
        ("ΟΔΟΣ", "οδοσ"),
        ("ΟΔΟΣ.Α", "οδοσ.α"),
        ("İ", "i\u0307"),
        ("DİYARBAKIR", "di\u0307yarbakir"),
        ("ada@نامه\u200cای.com", "ada@xn--mgba3gch31f060k.com"),
        ("a@b@ä..de", "a@b@ä..de"),  # no domain
        ("Ä@", "ä@"),
    ],
)
def test_an_identifier_is_compared_in_one_form(typed, key):
    assert normalize_identifier(typed) == key


def test_the_form_of_a_form_is_itself():
    for number in range(0x3000):
        key = normalize_identifier(chr(number))
        assert normalize_identifier(key) == key, hex(number)
