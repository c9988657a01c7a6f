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
from pycoder.keys.key import ACCESS_TYP, Key, derive_refresh_key, jws
from pycoder.strict_json import strict_loads

COMPACT_JWS = re.compile(r"[\w-]{1,512}\.[\w-]{1,2048}\.[\w-]{1,1024}", re.ASCII)

HEADER_PARAMETERS = {"alg", "typ", "kid"}  # exactly those that ``KeyRing.sign`` writes
RELOAD_INTERVAL = 0.25  # seconds; tokens with an unknown kid cause no more reloads than this
CACHE_SIZE = 4096  # tokens, about 2 KB each


class UnknownKey(InvalidTokenError):
    """The ``kid`` of a token is not in the ring. The key may be a new one."""


def signing_key(newest_first: Iterable[Any]) -> Any:
    """Return the newest key that may sign now.

    If the clock is behind all keys, it is the oldest.
    """
    *newer, oldest = newest_first
    at = now().timestamp()
    return next((key for key in newer if key.not_before <= at), oldest)


Validator = Callable[[dict[str, Any], Any], None]


class KeyRing:
    """The keys in force, newest first. One signs, all of them verify.

    Each key signs access tokens and status lists. A secret derived from it, under a ``kid`` of its
    own, signs refresh tokens. The algorithm and the possible types of a token are those of the key
    its ``kid`` names, never what the token claims (RFC 8725 §3.1, §3.10 to §3.12).
    """

    def __init__(self, keys: Iterable[Key]):
        pairs = [(key, derive_refresh_key(key)) for key in keys]
        self._keys = {key.kid: key for pair in pairs for key in pair}
        self.verify = lru_cache(CACHE_SIZE)(self._verify)

    @property
    def is_public(self) -> bool:
        """Whether services can verify the access tokens that are signed now."""
        return self._signer(ACCESS_TYP).algorithm != "HS256"

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Sign claims as a token of the media type ``typ`` (RFC 8725 §3.11)."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        signer = self._signer(typ)
        headers = {"typ": typ, "kid": signer.kid}
        return jws.encode(payload, signer.private_key, signer.algorithm, headers)

    def _signer(self, typ: str) -> Key:
        signer: Key = signing_key(key for key in self._keys.values() if typ in key.typs)
        return signer

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys that verify tokens now or later (RFC 7517 §5)."""
        at = now().timestamp()
        jwks = [key.jwk for key in self._keys.values() if key.verify_until > at]
        return {"keys": [jwk for jwk in jwks if jwk]}

    def _verify(
        self, token: str, validate: Validator = lambda *_: None
    ) -> tuple[dict[str, Any], Any]:
        """Return the header and the claims of a token that a key of the ring signed.

        ``validate`` raises if their form is wrong. The result must not be changed: ``verify``
        caches it by the full text of the token. A valid signature stays valid for as long as this
        ring is in force, and so does the form of what was signed. Rejections are not cached, nor is
        anything that the database or the clock can change.

        Only the canonical text is accepted, because PyJWT also reads ``token + "="``, and only the
        three header parameters that ``sign`` writes, so that ``jku``, ``jwk``, ``x5u`` and ``crit``
        have no effect. Raises PyJWT's ``InvalidTokenError``.
        """
        _require_compact_form(token)
        header_segment = token.partition(".")[0]
        try:
            header = strict_loads(base64.urlsafe_b64decode(header_segment + "==="))
            key = self._keys.get(header["kid"]) if header.keys() == HEADER_PARAMETERS else None
        except (ValueError, AttributeError, TypeError) as error:
            raise InvalidTokenError("invalid header") from error
        if key is None:
            raise UnknownKey
        if header["typ"] not in key.typs:
            raise InvalidTokenError("a type that the key does not sign")
        verified = jws.decode_complete(token, key.verification_key, algorithms=[key.algorithm])
        try:
            claims = strict_loads(verified["payload"])
        except ValueError as error:
            raise InvalidTokenError("unreadable payload") from error
        validate(header, claims)
        if key.verify_until < math.inf and claims["exp"] > key.verify_until:
            raise InvalidTokenError("expires after everything that the key may sign")
        return header, claims


def current_ring(no_older_than: float | None = None) -> KeyRing:
    """Return the keys in force, loaded at most ``no_older_than`` seconds ago.

    keys/store.py caches them.
    """
    return cast(KeyRing, current_app.extensions["pycoder.keys"].ring(no_older_than))


def _require_compact_form(token: str) -> None:
    if not COMPACT_JWS.fullmatch(token):
        raise InvalidTokenError("not a compact token")


def verify_token(token: str, validate: Validator) -> tuple[dict[str, Any], Any]:
    """Verify a token with the keys in force, and reload them for an unknown ``kid``.

    Malformed tokens are rejected before the keys are loaded.
    """
    _require_compact_form(token)
    try:
        return current_ring().verify(token, validate)
    except UnknownKey:
        return current_ring(no_older_than=RELOAD_INTERVAL).verify(token, validate)
