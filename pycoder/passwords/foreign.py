"""Verify the password hashes of other software.

A pattern recognizes each format and bounds its cost: a hash verifies within seconds, and within
64 MiB of memory, argon2 within a gigabyte. Salts are text in the formats of Django and Werkzeug. In
those of passlib and the PHC they are any bytes in base64, so systems that export a hash in parts,
such as Keycloak, are stored in one of these. Firebase has a format of PyCoder's own.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import bcrypt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

MAXIMUM_MEMORY = 64 * 1024 * 1024  # bytes that scrypt may use
MAXIMUM_WORK = 2**22  # N * r * p of scrypt, about a second
PHPASS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # its 64 digits

Match = re.Match[str]


def verifier_of(hashed: str) -> Callable[[str], bool] | None:
    """Return the function that verifies a password against a hash.

    Return ``None`` if the hash has no supported format and cost. The function raises ``ValueError``
    for a damaged hash, and ``ImportError`` if a package is missing.
    """
    for pattern, verify in _VERIFIERS.items():
        match = pattern.fullmatch(hashed)
        if match and _is_affordable(match):
            return lambda password: verify(password.encode(), match)
    return None


def missing_package(hashed: str) -> str | None:
    """Return the package that verifying a hash needs, if it is not installed."""
    return "argon2-cffi" if "argon2" in hashed[:8] and not find_spec("argon2") else None


def format_pbkdf2(digest: str, rounds: int, salt: bytes, key: bytes) -> str:
    """Return a PBKDF2 hash in passlib's format."""
    kind = "pbkdf2" if digest == "sha1" else f"pbkdf2-{digest}"
    return f"${kind}${rounds}${_b64(salt)}${_b64(key)}".replace("+", ".")


def format_scrypt(costs: tuple[int, int, int], salt: bytes, key: bytes) -> str:
    """Return a scrypt hash of the costs N, r and p in passlib's format."""
    n, r, p = costs
    return f"$scrypt$ln={n.bit_length() - 1},r={r},p={p}${_b64(salt)}${_b64(key)}"


def format_argon2(kind: str, costs: tuple[int, int, int], salt: bytes, key: bytes) -> str:
    """Return an argon2 hash of the costs m, t and p in the format of the PHC."""
    m, t, p = costs
    return f"$argon2{kind}$v=19$m={m},t={t},p={p}${_b64(salt)}${_b64(key)}"


def format_firebase(
    costs: tuple[int, int], salt: bytes, signer_key: bytes, encrypted_key: bytes
) -> str:
    """Return a hash of Firebase in a format that does not contain the signer key.

    ``costs`` are ``mem_cost`` and ``rounds``. Firebase encrypts the signer key of the project with
    AES-256-CTR, under a key that scrypt derives from the password. Both together yield the key
    stream of that cipher. It depends on the password alone, so it suffices to verify one. Raises
    ``ValueError``.
    """
    mem_cost, rounds = costs
    stream = bytes(a ^ b for a, b in zip(encrypted_key, signer_key, strict=True))
    return f"$firebase-scrypt$ln={mem_cost},r={rounds},p=1${_b64(salt)}${_b64(stream)}"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    """Decode base64 with or without padding, where passlib writes ``.`` for ``+``."""
    text = text.rstrip("=").replace(".", "+")
    return base64.b64decode(text + "=" * (-len(text) % 4))


class _DerivedKey(NamedTuple):
    """A format of parameters, a salt, and the key that is derived from a password."""

    derive: Callable[[bytes, bytes, Match, int], bytes]
    salt: Callable[[str], bytes]
    key: Callable[[str], bytes]

    def verify(self, password: bytes, match: Match) -> bool:
        expected = self.key(match["key"])
        computed = self.derive(password, self.salt(match["salt"]), match, len(expected))
        return hmac.compare_digest(computed, expected)


def _pbkdf2(password: bytes, salt: bytes, match: Match, length: int) -> bytes:
    return hashlib.pbkdf2_hmac(match["digest"] or "sha1", password, salt, int(match["n"]), length)


def _scrypt(password: bytes, salt: bytes, match: Match, length: int) -> bytes:
    n, r, p = _scrypt_costs(match)
    maximum = 2 * MAXIMUM_MEMORY  # OpenSSL counts a little more than 128 * n * r
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=maximum, dklen=length)


def _firebase(password: bytes, salt: bytes, match: Match, length: int) -> bytes:
    cipher = Cipher(AES(_scrypt(password, salt, match, 32)), CTR(bytes(16)))
    return cipher.encryptor().update(bytes(length))


def _is_affordable(match: Match) -> bool:
    """Return whether the costs of scrypt are valid and bounded.

    The patterns bound all other costs.
    """
    if "r" not in match.groupdict():
        return True
    n, r, p = _scrypt_costs(match)
    is_valid = n > 1 and n & (n - 1) == 0 and r > 0 and p > 0
    return is_valid and 128 * r * max(n, p) <= MAXIMUM_MEMORY and n * r * p <= MAXIMUM_WORK


def _scrypt_costs(match: Match) -> tuple[int, int, int]:
    """Return N, r and p. Some formats contain the binary logarithm of N."""
    groups = match.groupdict()
    n = 1 << int(groups["ln"]) if "ln" in groups else int(groups["n"])
    return n, int(groups["r"]), int(groups["p"])


def _verify_bcrypt(password: bytes, match: Match) -> bool:
    """Verify the first 72 bytes of a password, as the bcrypt that hashed it did."""
    return bcrypt.checkpw(password[:72], match["key"].encode())


def _verify_django_bcrypt_sha256(password: bytes, match: Match) -> bool:
    return bcrypt.checkpw(hashlib.sha256(password).hexdigest().encode(), match["key"].encode())


def _verify_phpass(password: bytes, match: Match) -> bool:
    """Verify a portable hash of phpass, as WordPress up to 6.7 and phpBB 3 store it."""
    digest = hashlib.md5(match["salt"].encode() + password, usedforsecurity=False).digest()
    for _ in range(1 << PHPASS.index(match["ln"])):
        digest = hashlib.md5(digest + password, usedforsecurity=False).digest()
    triples = [int.from_bytes(digest[at : at + 3], "little") for at in range(0, 16, 3)]
    digits = [PHPASS[bits >> shift & 63] for bits in triples for shift in (0, 6, 12, 18)]
    return hmac.compare_digest("".join(digits[:22]), match["key"])


def _verify_argon2(password: bytes, match: Match) -> bool:
    from argon2 import PasswordHasher  # an optional dependency
    from argon2.exceptions import Argon2Error, VerifyMismatchError

    try:
        return PasswordHasher().verify(match["key"], password)
    except VerifyMismatchError:
        return False
    except Argon2Error as error:
        raise ValueError("damaged") from error


_N, _R, _P = r"(?P<n>[1-9]\d{0,6})", r"(?P<r>\d{1,4})", r"(?P<p>\d{1,4})"
_TEXT, _HEX = r"(?P<salt>[^$\s]+)", r"(?P<key>([0-9a-f]{2})+)"
_B64, _SALT64, _KEY64 = r"(?P<key>[\w+/]+={0,2})", r"(?P<salt>[\w+/.]*)", r"(?P<key>[\w+/.]+)"
_BCRYPT = r"(?P<key>\$2[aby]\$(0[4-9]|1[0-8])\$[./A-Za-z0-9]{53})"
_ARGON2 = r"\$argon2(id|i|d)\$v=19\$m=[1-9]\d{0,5},t=[1-9]\d?,p=[1-9]\d?(\$[A-Za-z0-9+/]+){2}"
_LN_SCRYPT = rf"ln=(?P<ln>\d\d?),r={_R},p={_P}\${_SALT64}\${_KEY64}"

_FORMATS: dict[str, Callable[[bytes, Match], bool]] = {
    rf"(bcrypt\$)?{_BCRYPT}": _verify_bcrypt,
    rf"(argon2)?(?P<key>{_ARGON2})": _verify_argon2,
    r"\$[PH]\$(?P<ln>[5-9A-G])(?P<salt>[./\w]{8})(?P<key>[./\w]{22})": _verify_phpass,
    # Django
    rf"bcrypt_sha256\${_BCRYPT}": _verify_django_bcrypt_sha256,
    rf"pbkdf2_(?P<digest>sha1|sha256)\${_N}\${_TEXT}\${_B64}": _DerivedKey(
        _pbkdf2, str.encode, _unb64
    ).verify,
    rf"scrypt\${_N}\${_TEXT}\${_R}\${_P}\${_B64}": _DerivedKey(_scrypt, str.encode, _unb64).verify,
    # Werkzeug
    rf"pbkdf2:(?P<digest>sha1|sha256|sha512):{_N}\${_TEXT}\${_HEX}": _DerivedKey(
        _pbkdf2, str.encode, bytes.fromhex
    ).verify,
    rf"scrypt:{_N}:{_R}:{_P}\${_TEXT}\${_HEX}": _DerivedKey(
        _scrypt, str.encode, bytes.fromhex
    ).verify,
    # passlib
    rf"\$pbkdf2(-(?P<digest>sha256|sha512))?\${_N}\${_SALT64}\${_KEY64}": _DerivedKey(
        _pbkdf2, _unb64, _unb64
    ).verify,
    rf"\$scrypt\${_LN_SCRYPT}": _DerivedKey(_scrypt, _unb64, _unb64).verify,
    # PyCoder
    rf"\$firebase-scrypt\${_LN_SCRYPT}": _DerivedKey(_firebase, _unb64, _unb64).verify,
}
_VERIFIERS = {re.compile(pattern, re.ASCII): verify for pattern, verify in _FORMATS.items()}
