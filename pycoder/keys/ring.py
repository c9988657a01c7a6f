"""The key ring: signs tokens and verifies their signatures."""

import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, cast

from flask import current_app
from jwt import InvalidTokenError

from pycoder.clock import now
from pycoder.keys.key import Key, _jws
from pycoder.strict_json import strict_loads

COMPACT_JWS = re.compile(r"[\w-]{1,512}\.[\w-]{1,2048}\.[\w-]{1,1024}", re.ASCII)

HEADER_PARAMETERS = {"alg", "typ", "kid"}  # the header parameters of our tokens
RELOAD_INTERVAL = 0.25  # seconds: tokens with unknown keys make a process look no more often
CACHE_SIZE = 4096  # tokens, about 2 KB each


class UnknownKey(InvalidTokenError):
    """A token names a key that is not in the ring, which may be a new one."""


def signing_key(newest_first: Iterable[Any]) -> Any:
    """Return the newest key whose time has come; the oldest where the clock is behind all."""
    *newer, oldest = newest_first
    at = now().timestamp()
    return next((key for key in newer if key.signs_from <= at), oldest)


Validator = Callable[[dict[str, Any], Any], None]


class KeyRing:
    """The keys in force, the newest first: one signs, all of them verify."""

    def __init__(self, keys: Iterable[Key]):
        self._keys = {key.kid: key for key in keys}
        self.open = lru_cache(CACHE_SIZE)(self._open)

    @property
    def is_public(self) -> bool:
        """Whether others can verify what is signed now."""
        signer: Key = signing_key(self._keys.values())
        return signer.algorithm != "HS256"

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Return the claims as a signed token of the media type ``typ`` (RFC 8725 §3.11)."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        signer = signing_key(self._keys.values())
        headers = {"typ": typ, "kid": signer.kid}
        return _jws.encode(payload, signer.signs_with, signer.algorithm, headers)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys of all that is good or will be, as a JWK set (RFC 7517 §5)."""
        at = now().timestamp()
        found = [key.jwk for key in self._keys.values() if key.ends_at > at]
        return {"keys": [jwk for jwk in found if jwk]}

    def _open(self, token: str, judge: Validator = lambda *_: None) -> tuple[dict[str, Any], Any]:
        """Return header and payload of a token that one of the keys signed; never change them.

        ``judge`` raises if they are not as they should be. ``open`` remembers the latest tokens
        by their full text: a signature that was good stays good for as long as this ring is in
        force, and so does the form of what was signed. Nothing else is remembered, neither a
        refusal nor anything that the database can change or time can make bad.

        Only the canonical text is taken, since PyJWT also reads ``token + "="``, and only the
        three header parameters that ``sign`` writes, so that ``jku``, ``jwk``, ``x5u``, ``crit``
        and their like never have a say. Raises PyJWT's ``InvalidTokenError``.
        """
        _require_compact_form(token)
        header_segment = token.partition(".")[0]
        try:
            header = strict_loads(base64.urlsafe_b64decode(header_segment + "==="))
            key = self._keys.get(header["kid"]) if header.keys() == HEADER_PARAMETERS else None
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


def current_ring(no_older_than: float | None = None) -> KeyRing:
    """Return the keys in force, which keystore.py looks after."""
    return cast(KeyRing, current_app.extensions["pycoder.keys"].ring(no_older_than))


def _require_compact_form(token: str) -> None:
    if not COMPACT_JWS.fullmatch(token):
        raise InvalidTokenError("not a compact token")


def verify_token(token: str, judge: Validator) -> tuple[dict[str, Any], Any]:
    """Open a token with the keys in force; one that names a new key makes us look for it.

    What is no token at all is refused before anybody asks the database for keys.
    """
    _require_compact_form(token)
    try:
        return current_ring().open(token, judge)
    except UnknownKey:
        return current_ring(no_older_than=RELOAD_INTERVAL).open(token, judge)
