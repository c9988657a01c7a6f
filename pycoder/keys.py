"""The key ring: what signs tokens, and what may have signed them.

Each key has one algorithm, found by its ``kid`` and never by what a token says of itself
(RFC 8725 §3.1, §3.10). A new kind of key is a new ``Key``; nothing else needs to know.
"""

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, current_app, json
from jwt import InvalidTokenError, PyJWS

from pycoder.wire import strict_loads

TOKEN = re.compile(r"[\w-]{1,512}\.[\w-]{1,2048}\.[\w-]{1,1024}", re.ASCII)

REMEMBERED = 4096  # tokens, about 2 KB each

_jws = PyJWS()


@dataclass(frozen=True)
class Key:
    """One key, its one algorithm, and the name under which tokens refer to it."""

    kid: str
    algorithm: str
    signs_with: Any
    verifies_with: Any


Judge = Callable[[dict[str, Any], Any], None]


class KeyRing:
    """The keys in force: the first one signs, all of them verify."""

    def __init__(self, keys: Iterable[Key]):
        self._keys = {key.kid: key for key in keys}
        self._signer = next(iter(self._keys.values()))
        self.open = lru_cache(REMEMBERED)(self._open)

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Return the claims as a signed token of the media type ``typ`` (RFC 8725 §3.11)."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        headers = {"typ": typ, "kid": self._signer.kid}
        return _jws.encode(payload, self._signer.signs_with, self._signer.algorithm, headers)

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
        if not TOKEN.fullmatch(token):
            raise InvalidTokenError("not a compact token")
        header_segment = token.partition(".")[0]
        try:
            header = strict_loads(base64.urlsafe_b64decode(header_segment + "==="))
            key = self._keys[header["kid"]] if header.keys() == {"alg", "typ", "kid"} else None
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise InvalidTokenError("no known key") from error
        if key is None:
            raise InvalidTokenError("unexpected header parameters")
        opened = _jws.decode_complete(token, key.verifies_with, algorithms=[key.algorithm])
        try:
            claims = strict_loads(opened["payload"])
        except ValueError as error:
            raise InvalidTokenError("unreadable payload") from error
        judge(header, claims)
        return header, claims


def derive(secret: str, purpose: str) -> bytes:
    """Derive 32 bytes for one purpose only (HKDF, RFC 5869), so that no key serves two."""
    info = f"pycoder {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())


def secret_key(secret: str) -> Key:
    """Return the HS256 key that every installation can derive from its SECRET_KEY."""
    derived = derive(secret, "token HS256")
    kid = base64.urlsafe_b64encode(sha256(b"kid" + derived).digest()[:9]).decode()
    return Key(kid, "HS256", derived, derived)


def ring() -> KeyRing:
    return cast(KeyRing, current_app.extensions["pycoder.keys"])


def init_app(app: Flask) -> None:
    app.extensions["pycoder.keys"] = KeyRing([secret_key(app.config["SECRET_KEY"])])
