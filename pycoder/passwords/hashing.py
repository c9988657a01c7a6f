"""Hash, verify and judge passwords.

Written are bcrypt hashes over base64(HMAC-SHA-256(key = the salt, password)), in passlib's
published ``$bcrypt-sha256$v=2,…`` format: a bare bcrypt cuts at 72 bytes and takes ``P`` and
``P\0P`` for one password; a bare SHA-256 before it can be shucked (OWASP Password Storage Cheat
Sheet). Read are also plain bcrypt and Django's formats, which the next login replaces.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import bcrypt
from flask import current_app

from pycoder.passwords import pool
from pycoder.passwords.policy import normalize_password

HASH_FORMAT = re.compile(r"\$bcrypt-sha256\$v=2,t=(2[aby]),r=(\d\d?)\$([./\w]{22})\$([./\w]{31})")

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


def hash_password(password: str) -> str:
    """Return a hash at the current cost, with a salt of its own."""
    return _run_hash(
        _bcrypt_sha256, normalize_password(password), bcrypt.gensalt(_rounds()).decode()
    )


def verify_password(password: str, hashed: str | None) -> bool:
    """Tell whether the password is the one behind ``hashed``.

    Without a hash, for an account that does not exist, a decoy of the current cost is verified
    in its place, so that the answer takes as long. So it is for an unreadable hash, which is an
    entry in the log.
    """
    if hashed is not None:
        ours = HASH_FORMAT.fullmatch(hashed)
        forms = {normalize_password(password)} if ours else {normalize_password(password), password}
        try:  # others hashed what was typed, in whatever form
            return any(_run_hash(_verifier_of(hashed), form, hashed) for form in forms)
        except (ValueError, OverflowError, ImportError) as error:
            name = type(error).__name__
            current_app.logger.error("a stored password hash cannot be read: %s", name)
    decoy = bcrypt.gensalt(_rounds()).decode()
    return _run_hash(_bcrypt_sha256, normalize_password(password), decoy) == ""


def unsupported_hash_reason(hashed: str) -> str | None:
    """Tell why a hash made elsewhere cannot be taken over; None if its owner can sign in.

    Its cost is bounded, since verifying it is work for the server.
    """
    if len(hashed) > 255 or not FOREIGN_FORMAT.fullmatch(hashed):
        return "This is not a password hash of a known format and cost."
    if hashed.startswith("argon2$") and not find_spec("argon2"):
        return "Verifying argon2 needs the package argon2-cffi, which is not installed."
    return None


def needs_rehash(hashed: str) -> bool:
    """Tell whether a hash is of another format or a lower cost than those made today."""
    ours = HASH_FORMAT.fullmatch(hashed)
    return ours is None or int(ours[2]) < _rounds()


def _rounds() -> int:
    return int(current_app.config["BCRYPT_ROUNDS"])


def _run_hash(work: Callable[[str, str], T], password: str, hashed: str) -> T:
    """Do one piece of hashing in the pool; all of it comes through here."""
    return pool.run(lambda: work(password, hashed))


def _bcrypt_sha256(password: str, salt: str) -> str:
    """Hash in our format; ``salt`` is bcrypt's own, like ``$2b$12$`` and 22 characters."""
    _, kind, rounds, salt22 = salt.split("$")
    digest = hmac.digest(salt22.encode(), password.encode(), "sha256")
    hashed = bcrypt.hashpw(base64.b64encode(digest), salt.encode()).decode()
    return f"$bcrypt-sha256$v=2,t={kind},r={int(rounds)}${salt22}${hashed[-31:]}"


def _verifier_of(hashed: str) -> Callable[[str, str], bool]:
    for start, verifier in _VERIFIERS.items():
        if hashed.startswith(start):
            return verifier
    raise ValueError("unknown format")


def _verify_bcrypt_sha256(password: str, hashed: str) -> bool:
    ours = HASH_FORMAT.fullmatch(hashed)
    if ours is None:
        raise ValueError("damaged")
    kind, rounds, salt, _ = ours.groups()
    again = _bcrypt_sha256(password, f"${kind}${int(rounds):02}${salt}")
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
    "$bcrypt-sha256$": _verify_bcrypt_sha256,
    "$2": _verify_bcrypt,
    "bcrypt$": _verify_bcrypt,
    "bcrypt_sha256$": _verify_django_bcrypt_sha256,
    "pbkdf2_sha256$": _verify_django_pbkdf2,
    "argon2$": _verify_django_argon2,
}
