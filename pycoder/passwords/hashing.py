"""Hash and verify passwords.

New hashes are bcrypt over base64(HMAC-SHA-256(key = salt, password)), in passlib's published
``$bcrypt-sha256$v=2,…`` format. Plain bcrypt truncates a password at 72 bytes and treats ``P`` and
``P\0P`` as equal. Plain SHA-256 before it allows password shucking (OWASP Password Storage Cheat
Sheet). Plain bcrypt and Django's formats are verified, too. The next login replaces such a hash.
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

NO_PASSWORD = "!"  # the hash of an account without a password: none matches

# The formats that can be imported. A hash must verify within seconds and a gigabyte of memory.
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
    """Hash a password at the current cost, with a random salt. Raises ``Overloaded``."""
    return _run_hash(
        _bcrypt_sha256, normalize_password(password), bcrypt.gensalt(_rounds()).decode()
    )


def verify_password(password: str, hashed: str | None) -> bool:
    """Return whether a password matches a hash. Raises ``Overloaded``.

    Without a hash, for an account that does not exist or has no password, a decoy is hashed at the
    current cost, so that the response takes as long. The same is done for an unreadable hash, which
    is logged.
    """
    if hashed not in (None, NO_PASSWORD):
        is_current = HASH_FORMAT.fullmatch(hashed)
        forms = {normalize_password(password)}
        if not is_current:  # other systems may not have normalized the password
            forms.add(password)
        try:
            return any(_run_hash(_verifier_of(hashed), form, hashed) for form in forms)
        except (ValueError, OverflowError, ImportError) as error:
            name = type(error).__name__
            current_app.logger.error("a stored password hash cannot be read: %s", name)
    decoy = bcrypt.gensalt(_rounds()).decode()
    return _run_hash(_bcrypt_sha256, normalize_password(password), decoy) == ""


def unsupported_hash_reason(hashed: str) -> str | None:
    """Return why a hash cannot be imported, or ``None`` if it can.

    Its cost is bounded, because the server must verify it.
    """
    if len(hashed) > 255 or not FOREIGN_FORMAT.fullmatch(hashed):
        return "This is not a password hash of a supported format and cost."
    if hashed.startswith("argon2$") and not find_spec("argon2"):
        return "Verifying argon2 needs the package argon2-cffi, which is not installed."
    return None


def needs_rehash(hashed: str) -> bool:
    """Return whether a hash has another format or a lower cost than new ones."""
    match = HASH_FORMAT.fullmatch(hashed)
    return match is None or int(match[2]) < _rounds()


def _rounds() -> int:
    return int(current_app.config["BCRYPT_ROUNDS"])


def _run_hash(function: Callable[[str, str], T], password: str, hashed: str) -> T:
    """Call a hash function in the hashing pool, as all of them must be called."""
    return pool.run(lambda: function(password, hashed))


def _bcrypt_sha256(password: str, salt: str) -> str:
    """Return a hash in the current format. ``salt`` is one of bcrypt, as ``$2b$12$…``."""
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
    match = HASH_FORMAT.fullmatch(hashed)
    if match is None:
        raise ValueError("damaged")
    kind, rounds, salt, _ = match.groups()
    computed = _bcrypt_sha256(password, f"${kind}${int(rounds):02}${salt}")
    return hmac.compare_digest(computed[-31:], hashed[-31:])


def _verify_bcrypt(password: str, hashed: str) -> bool:
    """Verify the first 72 bytes of a password, as the bcrypt that hashed it did."""
    hashed = hashed.removeprefix("bcrypt$")
    return bcrypt.checkpw(password.encode()[:72], hashed.encode())


def _verify_django_bcrypt_sha256(password: str, hashed: str) -> bool:
    digest = hashlib.sha256(password.encode()).hexdigest()
    return bcrypt.checkpw(digest.encode(), hashed.removeprefix("bcrypt_sha256$").encode())


def _verify_django_pbkdf2(password: str, hashed: str) -> bool:
    _, rounds, salt, digest = hashed.split("$")
    computed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(rounds))
    return hmac.compare_digest(base64.b64encode(computed), digest.encode())


def _verify_django_argon2(password: str, hashed: str) -> bool:
    from argon2 import PasswordHasher  # an optional dependency
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
