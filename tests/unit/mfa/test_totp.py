"""Time-based one-time passwords."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from pycoder.mfa import recovery_codes, totp
from pycoder.mfa.totp import STEP, matching_step

SECRET = b"12345678901234567890"  # of RFC 6238, appendix B, and RFC 4226, appendix D
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_the_vectors_of_rfc_6238_are_accepted(seconds, code):
    assert matching_step(SECRET, code[-6:], at(seconds)) == seconds // STEP


@pytest.mark.parametrize("phase", [0, 1, 15, 29])
@pytest.mark.parametrize("drift", range(-62, 63))
def test_a_phone_may_be_wrong_by_one_step(phase, drift):
    now = 1_800_000_000 + phase
    code = TOTP(SECRET, 6, SHA1(), STEP).generate(now + drift).decode()  # noqa: S303 - RFC 6238
    off = (now + drift) // STEP - now // STEP
    assert matching_step(SECRET, code, at(now)) == (
        (now + drift) // STEP if abs(off) <= 1 else None
    )
    if abs(drift) < 30:
        assert abs(off) <= 1
    if abs(drift) > 60:
        assert abs(off) > 1


@pytest.mark.parametrize(
    "spelling",
    ["287082", "287 082", " 28 70 82\n", "２８７０８２", "٢٨٧٠٨٢", "२८७०८२", "287\u00a0082"],
)
def test_six_digits_in_any_script_and_spacing_are_one_code(spelling):
    assert matching_step(SECRET, spelling, at(59)) == 1


@pytest.mark.parametrize(
    "wrong",
    ["+287082", "-287082", "94287082", "0287082", "2870820", "87082", "", " ", "287_082",
     "287.082", "287082.", "28708²", "28708Ⅱ", "0x4616A", "2.87e5", "287-082", "²³¹⁴⁵⁶"],
)  # fmt: skip
def test_anything_else_is_no_code(wrong):
    assert matching_step(SECRET, wrong, at(59)) is None


def test_the_uri_names_account_issuer_and_secret():
    uri = totp.otpauth_uri(SECRET, "ada@example.com")
    assert uri.startswith("otpauth://totp/PyCoder:ada%40example.com?")
    assert f"secret={totp.to_base32(SECRET)}" in uri
    assert totp.to_base32(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    "spelling",
    ["01AB-CDEF", "oiab cdef", "0lab_cdef", "０１ＡＢ‐ＣＤＥＦ", " 01ab\u00a0cd—ef ", "O1AB.CDEF"],
)
def test_recovery_codes_are_read_in_any_spelling(spelling):
    assert recovery_codes._digest(7, spelling) == recovery_codes._digest(7, "01ABCDEF")
    assert recovery_codes._digest(8, spelling) != recovery_codes._digest(7, spelling)
