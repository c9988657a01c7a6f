"""The key ring: what signs tokens, and what may have signed them.

Each key has one algorithm, found by its ``kid`` and never by what a token says of itself
(RFC 8725 §3.1, §3.10). Where keys are kept and which of them are in force is for keystore.py.
"""

import base64
import json
import math
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from flask import current_app
from jwt import InvalidTokenError, PyJWS

from pycoder.models import now
from pycoder.wire import strict_loads

TOKEN = re.compile(r"[\w-]{1,512}\.[\w-]{1,2048}\.[\w-]{1,1024}", re.ASCII)

HEADER = {"alg", "typ", "kid"}  # the header parameters of our tokens
LOOK_AGAIN = 0.25  # seconds: tokens with unknown keys make a process look no more often
REMEMBERED = 4096  # tokens, about 2 KB each

PUBLIC = ("crv", "e", "kty", "n", "x", "y")  # what a JWK of ours may hold of its key

_jws = PyJWS()
_GENERATE: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
    "HS256": lambda: secrets.token_bytes(32),
}


class UnknownKey(InvalidTokenError):
    """A token names a key that is not in the ring, which may be a new one."""


class Sealed(Exception):
    """A stored key cannot be opened with this ``SECRET_KEY``."""


@dataclass(frozen=True)
class Key:
    """One key, its one algorithm, and the name under which tokens refer to it.

    It signs from ``signs_from`` on, and nothing that it signed is good after ``ends_at`` (both in
    seconds since 1970).
    """

    kid: str
    algorithm: str
    signs_with: Any = field(repr=False)
    verifies_with: Any = field(repr=False)
    signs_from: float = 0
    ends_at: float = math.inf

    @property
    def jwk(self) -> dict[str, str] | None:
        """The public key as a JWK (RFC 7517) without any optional member; a secret has none."""
        if self.algorithm == "HS256":
            return None
        public = _public(self.algorithm, self.verifies_with)
        return public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


def signing(newest_first: Iterable[Any]) -> Any:
    """Return the newest key whose time has come; the oldest where the clock is behind all."""
    *newer, oldest = newest_first
    at = now().timestamp()
    return next((key for key in newer if key.signs_from <= at), oldest)


Judge = Callable[[dict[str, Any], Any], None]


class KeyRing:
    """The keys in force, the newest first: one signs, all of them verify."""

    def __init__(self, keys: Iterable[Key]):
        self._keys = {key.kid: key for key in keys}
        self.open = lru_cache(REMEMBERED)(self._open)

    @property
    def is_public(self) -> bool:
        """Whether others can verify what is signed now."""
        signer: Key = signing(self._keys.values())
        return signer.algorithm != "HS256"

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Return the claims as a signed token of the media type ``typ`` (RFC 8725 §3.11)."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        signer = signing(self._keys.values())
        headers = {"typ": typ, "kid": signer.kid}
        return _jws.encode(payload, signer.signs_with, signer.algorithm, headers)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys of all that is good or will be, as a JWK set (RFC 7517 §5)."""
        at = now().timestamp()
        found = [key.jwk for key in self._keys.values() if key.ends_at > at]
        return {"keys": [jwk for jwk in found if jwk]}

    def _open(self, token: str, judge: Judge = lambda *_: None) -> tuple[dict[str, Any], Any]:
        """Return header and payload of a token that one of the keys signed; never change them.

        ``judge`` raises if they are not as they should be. ``open`` remembers the latest tokens
        by their full text: a signature that was good stays good for as long as this ring is in
        force, and so does the form of what was signed. Nothing else is remembered, neither a
        refusal nor anything that the database can change or time can make bad.

        Only the canonical text is taken, since PyJWT also reads ``token + "="``, and only the
        three header parameters that ``sign`` writes, so that ``jku``, ``jwk``, ``x5u``, ``crit``
        and their like never have a say. Raises PyJWT's ``InvalidTokenError``.
        """
        _require_form(token)
        header_segment = token.partition(".")[0]
        try:
            header = strict_loads(base64.urlsafe_b64decode(header_segment + "==="))
            key = self._keys.get(header["kid"]) if header.keys() == HEADER else None
        except (ValueError, AttributeError, TypeError) as error:
            raise InvalidTokenError("no header of ours") from error
        if key is None:
            raise UnknownKey
        opened = _jws.decode_complete(token, key.verifies_with, algorithms=[key.algorithm])
        try:
            claims = strict_loads(opened["payload"])
        except ValueError as error:
            raise InvalidTokenError("unreadable payload") from error
        judge(header, claims)
        if key.ends_at < math.inf and claims["exp"] > key.ends_at:
            raise InvalidTokenError("signed after the key had stopped signing")
        return header, claims


def derive(secret: str, purpose: str) -> bytes:
    """Derive 32 bytes for one purpose only (HKDF, RFC 5869), so that no key serves two."""
    info = f"pycoder {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())


def generate(algorithm: str) -> Key:
    """Make a new key."""
    return named(algorithm, _GENERATE[algorithm]())


def named(algorithm: str, private: Any) -> Key:
    """Name a key after itself: by RFC 7638, or by a hash that does not give a secret away."""
    if algorithm == "HS256":
        kid = _b64(sha256(b"kid" + private).digest()[:9])
        return Key(kid, algorithm, private, private)
    public = private.public_key()
    members = json.dumps(_public(algorithm, public), sort_keys=True, separators=(",", ":"))
    return Key(_b64(sha256(members.encode()).digest()), algorithm, private, public)


def _public(algorithm: str, public: Any) -> dict[str, str]:
    """Return the members of a public key that RFC 7638 §3.2 requires, and no others."""
    jwk = cast(Any, _jws.get_algorithm_by_name(algorithm)).to_jwk(public, as_dict=True)
    return {name: jwk[name] for name in PUBLIC if name in jwk}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def seal(secret: str, key: Key) -> bytes:
    """Encrypt a key for where it is kept; who holds only that can neither read nor exchange it."""
    private = key.signs_with
    if key.algorithm != "HS256":
        private = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    nonce = secrets.token_bytes(12)
    return nonce + _cipher(secret).encrypt(nonce, private, _bound(key.kid, key.algorithm))


def unseal(secret: str, kid: str, algorithm: str, sealed: bytes) -> Key:
    """Return a kept key; raises ``Sealed``."""
    try:
        private: Any = _cipher(secret).decrypt(sealed[:12], sealed[12:], _bound(kid, algorithm))
    except InvalidTag as error:
        raise Sealed(kid) from error
    if algorithm != "HS256":
        private = load_der_private_key(private, None)
    return named(algorithm, private)


def _cipher(secret: str) -> AESGCM:
    return AESGCM(derive(secret, "signing keys"))


def _bound(kid: str, algorithm: str) -> bytes:
    return f"{kid} {algorithm}".encode()


def ring(no_older_than: float | None = None) -> KeyRing:
    """Return the keys in force, which keystore.py looks after."""
    return cast(KeyRing, current_app.extensions["pycoder.keys"].ring(no_older_than))


def _require_form(token: str) -> None:
    if not TOKEN.fullmatch(token):
        raise InvalidTokenError("not a compact token")


def opened(token: str, judge: Judge) -> tuple[dict[str, Any], Any]:
    """Open a token with the keys in force; one that names a new key makes us look for it.

    What is no token at all is refused before anybody asks the database for keys.
    """
    _require_form(token)
    try:
        return ring().open(token, judge)
    except UnknownKey:
        return ring(no_older_than=LOOK_AGAIN).open(token, judge)
