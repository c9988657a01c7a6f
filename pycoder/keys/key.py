"""A signing key: its ``kid``, its JWK, its refresh key, its encryption at rest."""

import base64
import json
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt import PyJWS

from pycoder.secret_key import decrypt, derive_key, encrypt

PUBLIC_MEMBERS = ("crv", "e", "kty", "n", "x", "y")  # the members of a public key
PURPOSE = "signing keys"  # of the key that encrypts them
ACCESS_TYP, REFRESH_TYP, STATUS_LIST_TYP = "at+jwt", "rt+jwt", "statuslist+jwt"  # RFC 8725 §3.11

jws = PyJWS()
_GENERATORS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
    "HS256": lambda: secrets.token_bytes(32),
}


class KeyDecryptionError(Exception):
    """A stored key cannot be decrypted with this ``SECRET_KEY``."""


@dataclass(frozen=True)
class Key:
    """A signing key, its only algorithm, and its ``kid``.

    It signs from ``not_before`` on. A token that it signed is invalid after ``verify_until``. Both
    are seconds since 1970. It signs and verifies the media types ``typs`` and no others.
    """

    kid: str
    algorithm: str
    private_key: Any = field(repr=False)
    verification_key: Any = field(repr=False)
    not_before: float = 0
    verify_until: float = math.inf
    typs: tuple[str, ...] = (ACCESS_TYP, STATUS_LIST_TYP)

    @property
    def jwk(self) -> dict[str, str] | None:
        """The public key as a JWK (RFC 7517), or ``None`` for a shared secret."""
        if self.algorithm == "HS256":
            return None
        public = _public_members(self.algorithm, self.verification_key)
        return public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


def derive_refresh_key(key: Key) -> Key:
    """Derive the secret that signs refresh tokens beside a key (HKDF, RFC 5869).

    It is derived from the private member of the key's JWK (RFC 7518 §6), and signs and verifies
    during the same time. It is never published, so that only PyCoder verifies refresh tokens.
    """
    jwk = cast(Any, jws.get_algorithm_by_name(key.algorithm)).to_jwk(key.private_key, as_dict=True)
    derived = name_key("HS256", derive_key(jwk.get("d") or jwk["k"], "refresh tokens"))
    return replace(
        derived, not_before=key.not_before, verify_until=key.verify_until, typs=(REFRESH_TYP,)
    )


def generate_key(algorithm: str) -> Key:
    """Generate a key for an algorithm."""
    return name_key(algorithm, _GENERATORS[algorithm]())


def name_key(algorithm: str, private: Any) -> Key:
    """Return a key with a ``kid`` derived from it.

    It is the thumbprint of the public key (RFC 7638), or a hash of the shared secret.
    """
    if algorithm == "HS256":
        kid = base64url_encode(sha256(b"kid" + private).digest()[:9])
        return Key(kid, algorithm, private, private)
    public = private.public_key()
    members = json.dumps(_public_members(algorithm, public), sort_keys=True, separators=(",", ":"))
    return Key(base64url_encode(sha256(members.encode()).digest()), algorithm, private, public)


def _public_members(algorithm: str, public: Any) -> dict[str, str]:
    """Return the members of a public key that RFC 7638 §3.2 requires."""
    jwk = cast(Any, jws.get_algorithm_by_name(algorithm)).to_jwk(public, as_dict=True)
    return {name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk}


def base64url_encode(raw: bytes) -> str:
    """Encode bytes as base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encrypt_key(secret: str, key: Key) -> bytes:
    """Encrypt a key for storage (AES-GCM, bound to its ``kid`` and algorithm)."""
    private = key.private_key
    if key.algorithm != "HS256":
        private = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encrypt(secret, PURPOSE, private, _associated_data(key.kid, key.algorithm))


def decrypt_key(secret: str, kid: str, algorithm: str, encrypted_key: bytes) -> Key:
    """Decrypt a stored key. Raises ``KeyDecryptionError``."""
    try:
        private: Any = decrypt(secret, PURPOSE, encrypted_key, _associated_data(kid, algorithm))
    except InvalidTag as error:
        raise KeyDecryptionError(kid) from error
    if algorithm != "HS256":
        private = load_der_private_key(private, None)
    return name_key(algorithm, private)


def _associated_data(kid: str, algorithm: str) -> bytes:
    return f"{kid} {algorithm}".encode()
