"""Hash and verify passwords.

New hashes are bcrypt over base64(HMAC-SHA-256(key = salt, password)), in passlib's published
``$bcrypt-sha256$v=2,…`` format. Plain bcrypt truncates a password at 72 bytes and treats ``P`` and
``P\0P`` as equal. Plain SHA-256 before it allows password shucking (OWASP Password Storage Cheat
Sheet). The formats in foreign.py are verified, too. The next login replaces such a hash.
"""

import base64
import hmac
import re
from collections.abc import Callable
from functools import partial

import bcrypt
from flask import current_app

from pycoder.passwords import foreign, pool
from pycoder.passwords.policy import normalize_password

HASH_FORMAT = re.compile(r"\$bcrypt-sha256\$v=2,t=(2[aby]),r=(\d\d?)\$([./\w]{22})\$([./\w]{31})")

HASH_LENGTH = 255
NO_PASSWORD = "!"  # the hash of an account without a password: none matches


def hash_password(password: str) -> str:
    """Hash a password at the current cost, with a random salt. Raises ``Overloaded``."""
    salt = bcrypt.gensalt(_rounds()).decode()
    return pool.run(partial(_bcrypt_sha256, normalize_password(password), salt))


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
            verify = _verifier_of(hashed)
            return any(pool.run(partial(verify, form)) for form in forms)
        except (ValueError, OverflowError, ImportError) as error:
            name = type(error).__name__
            current_app.logger.error("a stored password hash cannot be read: %s", name)
    decoy = bcrypt.gensalt(_rounds()).decode()
    return pool.run(partial(_bcrypt_sha256, normalize_password(password), decoy)) == ""


def unsupported_hash_reason(hashed: str) -> str | None:
    """Return why no password can be verified against a hash, or ``None`` if one can.

    The cost is bounded, because the server must verify it.
    """
    own = HASH_FORMAT.fullmatch(hashed)
    is_supported = 4 <= int(own[2]) <= 18 if own else foreign.verifier_of(hashed) is not None
    if len(hashed) <= HASH_LENGTH and is_supported:
        return None
    return "This is not a password hash of a supported format and cost."


def needs_rehash(hashed: str) -> bool:
    """Return whether a hash has another format or a lower cost than new ones."""
    match = HASH_FORMAT.fullmatch(hashed)
    return match is None or int(match[2]) < _rounds()


def _rounds() -> int:
    return int(current_app.config["BCRYPT_ROUNDS"])


def _bcrypt_sha256(password: str, salt: str) -> str:
    """Return a hash in the current format. ``salt`` is one of bcrypt, as ``$2b$12$…``."""
    _, kind, rounds, salt22 = salt.split("$")
    digest = hmac.digest(salt22.encode(), password.encode(), "sha256")
    hashed = bcrypt.hashpw(base64.b64encode(digest), salt.encode()).decode()
    return f"$bcrypt-sha256$v=2,t={kind},r={int(rounds)}${salt22}${hashed[-31:]}"


def _verifier_of(hashed: str) -> Callable[[str], bool]:
    if match := HASH_FORMAT.fullmatch(hashed):
        return partial(_verify_bcrypt_sha256, match)
    if verify := foreign.verifier_of(hashed):
        return verify
    raise ValueError("unknown format")


def _verify_bcrypt_sha256(match: re.Match[str], password: str) -> bool:
    kind, rounds, salt, digest = match.groups()
    computed = _bcrypt_sha256(password, f"${kind}${int(rounds):02}${salt}")
    return hmac.compare_digest(computed[-31:], digest)
