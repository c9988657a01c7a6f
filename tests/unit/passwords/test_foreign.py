"""Password hashes of other software, made by that software."""

import hashlib

import argon2
import pytest
from django.conf import settings
from django.contrib.auth import hashers
from werkzeug.security import generate_password_hash

from pycoder.passwords import foreign
from pycoder.passwords.foreign import verifier_of
from pycoder.passwords.hashing import unsupported_hash_reason
from tests.support.password_hashes import FOREIGN, KNOWN

SALT = bytes(range(16))
OTHERS = ("", KNOWN[:-1], f"{KNOWN} ", "correct horse e")


@pytest.fixture(scope="module", autouse=True)
def django():
    if not settings.configured:
        settings.configure()


class CheapScrypt(hashers.ScryptPasswordHasher):
    work_factor, parallelism = 16, 2


MADE = {
    "django pbkdf2_sha256": lambda: hashers.PBKDF2PasswordHasher().encode(KNOWN, "pepper", 10),
    "django pbkdf2_sha1": lambda: hashers.PBKDF2SHA1PasswordHasher().encode(KNOWN, "pepper", 10),
    "django scrypt": lambda: CheapScrypt().encode(KNOWN, "pepper"),
    "django scrypt at its default": lambda: hashers.ScryptPasswordHasher().encode(KNOWN, "pepper"),
    "werkzeug scrypt at its default": lambda: generate_password_hash(KNOWN),
    "werkzeug scrypt": lambda: generate_password_hash(KNOWN, "scrypt:16:8:2"),
    "werkzeug pbkdf2": lambda: generate_password_hash(KNOWN, "pbkdf2:sha256:10"),
    "werkzeug pbkdf2 sha1": lambda: generate_password_hash(KNOWN, "pbkdf2:sha1:10"),
    "werkzeug pbkdf2 sha512": lambda: generate_password_hash(KNOWN, "pbkdf2:sha512:10"),
    "argon2id": lambda: argon2.PasswordHasher(1, 64, 2).hash(KNOWN),
    "argon2i": lambda: argon2.PasswordHasher(1, 64, 2, type=argon2.Type.I).hash(KNOWN),
    "bcrypt 2y": lambda: FOREIGN["plain bcrypt"].replace("$2b$", "$2y$"),
    "bcrypt 2a": lambda: FOREIGN["plain bcrypt"].replace("$2b$", "$2a$"),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_hash_of_the_real_software_verifies(make):
    hashed = make()
    assert unsupported_hash_reason(hashed) is None
    verify = verifier_of(hashed)
    assert verify(KNOWN)
    assert not any(verify(other) for other in OTHERS)
    assert not verifier_of(hashed[:-4] + ("0000" if hashed[-4:] != "0000" else "1111"))(KNOWN)


PUBLISHED = [
    ("test12345", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"),  # of phpass's test program
    ("test12345", "$H$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"),  # as phpBB writes it
    # made by libpass 1.9.4
    (KNOWN, "$P$5iVhPcx4fdwIaXVSF4ek.CcrqjOFTY0"),
    (KNOWN, "$pbkdf2$10$lPKeE2Jszflfy3lvDYGwVg$T1.fb.MKECcVS./HV7WIgMOt5.A"),
    (
        KNOWN,
        "$pbkdf2-sha256$10$QqjVOofQOgeAcA6BEGIs5Q$hdyB1QGeG2kAGKAtG07tUR1cJWEr2Q8dhx/2AJ9kquk",
    ),
    (
        KNOWN,
        "$pbkdf2-sha512$10$0JoTojQGAACgNAZgDMHYuw$jv.dO5vElIBvlKyCM8O1T6pKeEHxepUh16fqOdchJr3r"
        ".AsYmPZ5gOQOBVn/L2x5w19Xjf2wsyrXJBKbMq9uHA",
    ),
    (
        KNOWN,
        "$scrypt$ln=4,r=8,p=1$Rej9f8+5t9baW2ut1XoPwQ$Ek6SSNtBodu2tVFzfEwjxDg5ES2nFqwXSNLxGTGmYQw",
    ),
]


@pytest.mark.parametrize(("password", "hashed"), PUBLISHED)
def test_a_published_hash_verifies(password, hashed):
    verify = verifier_of(hashed)
    assert verify(password)
    assert not verify(f"{password}x")


def test_parts_that_are_no_text_are_put_into_a_format():
    salt, password = bytes(range(240, 256)), KNOWN.encode()
    for digest in ("sha1", "sha256", "sha512"):
        key = hashlib.pbkdf2_hmac(digest, password, salt, 10)
        assert verifier_of(foreign.format_pbkdf2(digest, 10, salt, key))(KNOWN)
    key = hashlib.scrypt(password, salt=salt, n=16, r=8, p=1)
    assert verifier_of(foreign.format_scrypt((16, 8, 1), salt, key))(KNOWN)
    kind = argon2.low_level.Type.ID
    key = argon2.low_level.hash_secret_raw(password, salt, 1, 64, 2, 32, kind)
    assert verifier_of(foreign.format_argon2("id", (64, 1, 2), salt, key))(KNOWN)


DIGEST = "Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M"
REFUSED = [
    "", "x", "!", "md5$salt$secret", "sha256$salt$secret", f"bcrypt$${'x' * 60}",
    "pbkdf2_sha256$99999999$salt$3T8cwV0WtwNmLYZeSClE7C/cazugvoX6yhBnZe7vRVQ=",
    "pbkdf2_sha256$0$salt$3T8cwV0WtwNmLYZeSClE7C/cazugvoX6yhBnZe7vRVQ=",
    "pbkdf2_md5$10$salt$3T8cwV0WtwNmLYZeSClE7C/cazugvoX6yhBnZe7vRVQ=",
    "pbkdf2:md5:10$salt$00", "pbkdf2:sha256:99999999$salt$00",
    f"$pbkdf2-sha256$99999999$x${DIGEST}",
    "$2b$31$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    "$2x$04$do2h6pcKxip6SQnh0YE9TOnisvjZrAI0oBIUYXS1tJCb63jwvDhmy",
    FOREIGN["argon2"].replace("m=64", "m=99999999"),
    FOREIGN["argon2"].replace("v=19", "v=16"),
    "scrypt:1048576:8:1$salt$00", "scrypt:32768:8:99$salt$00", "scrypt:1000:8:1$salt$00",
    "scrypt:0:8:1$salt$00", "scrypt:16:0:1$salt$00", "scrypt:16:8:0$salt$00",
    "scrypt:1:8:1$salt$00", "scrypt:2:9999:99$salt$00", "scrypt:16:8:1$salt$0",
    f"scrypt$1048576$salt$8$1${DIGEST}=", f"$scrypt$ln=20,r=8,p=1$c2FsdA${DIGEST}",
    f"$scrypt$ln=99,r=8,p=1$c2FsdA${DIGEST}", f"$firebase-scrypt$ln=20,r=8,p=1$c2FsdA${DIGEST}",
    "$P$HIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", "$P$4IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0",
    "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L",
    "$bcrypt-sha256$v=2,t=2b,r=19$" + "x" * 22 + "$" + "x" * 31,
    f"pbkdf2:sha256:10$salt${'00' * 200}",
]  # fmt: skip


@pytest.mark.parametrize("hashed", REFUSED)
def test_an_unknown_format_or_an_excessive_cost_is_refused(hashed):
    reason = "This is not a password hash of a supported format and cost."
    assert unsupported_hash_reason(hashed) == reason


def test_the_highest_costs_that_are_accepted_can_be_verified():
    for hashed in (
        "scrypt:65536:8:1$salt$00",
        "scrypt:16384:8:32$salt$00",
        "$P$GIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0",
    ):
        assert unsupported_hash_reason(hashed) is None
        assert verifier_of(hashed)("x") in (True, False)
