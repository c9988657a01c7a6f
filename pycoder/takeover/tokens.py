"""The refresh tokens of django-simplejwt: recognize, verify, and read them.

simplejwt names no key in the header of a token, and every token of PyCoder has a ``kid``.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from jwt import InvalidTokenError
from sqlalchemy import bindparam, select

from pycoder.clock import now
from pycoder.db.queries import fetch_one
from pycoder.errors import TokenExpired, TokenInvalid, TokenProblem
from pycoder.keys.key import jws
from pycoder.keys.ring import COMPACT_JWS
from pycoder.keys.store import CLOCK_SKEW
from pycoder.models.user import User
from pycoder.strict_json import strict_loads
from pycoder.takeover.configuration import ALGORITHMS, RunningTakeover

JTI = re.compile(r"[\w.-]{1,255}", re.ASCII)
LONGEST_ID = 18  # digits, so that the number fits the column
SIGNATURE = "signature"  # the reason that anybody can cause
EXPIRED = "expired"  # the reason that is no security event


class AdoptionRefused(Exception):
    """A token that is not traded.

    ``reason`` is for the audit trail, and ``problem`` for the client.
    """

    def __init__(
        self, reason: str, problem: type[TokenProblem] = TokenInvalid, user_id: int | None = None
    ):
        super().__init__(reason)
        self.reason, self.problem, self.user_id = reason, problem, user_id


class EarlierToken(NamedTuple):
    """What a verified refresh token of the platform says."""

    jti: str
    user_id: int
    expires_at: datetime


def is_earlier_token(token: str) -> bool:
    """Return whether a token may come from the platform, by its header alone.

    Nothing is verified, and no statement is executed.
    """
    return COMPACT_JWS.fullmatch(token) is not None and _algorithm(token) in ALGORITHMS


def _algorithm(token: str) -> str | None:
    """Return the algorithm of a header as PyJWT writes it by default, or ``None``."""
    try:
        header = strict_loads(base64.urlsafe_b64decode(token.partition(".")[0] + "==="))
    except ValueError:
        return None
    is_plain = type(header) is dict and header.keys() == {"alg", "typ"} and header["typ"] == "JWT"
    algorithm: str | None = header["alg"] if is_plain else None
    return algorithm


def verify(takeover: RunningTakeover, token: str) -> EarlierToken:
    """Return what a refresh token of the platform says.

    The algorithm is the one that the operator has named, never that of the token (RFC 8725 §3.1).
    Raises ``AdoptionRefused``.
    """
    try:
        signed = jws.decode_complete(token, takeover.key, algorithms=[takeover.algorithm])
        claims = strict_loads(signed["payload"])
    except (InvalidTokenError, ValueError) as error:
        raise AdoptionRefused(SIGNATURE) from error
    if type(claims) is not dict:
        raise AdoptionRefused("claims")
    user_id = account_id(claims.get(takeover.claim))
    if user_id is None:
        raise AdoptionRefused("user id")
    if reason := _wrong_claim(takeover, claims):
        raise AdoptionRefused(reason, user_id=user_id)
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    if expires_at <= now():
        raise AdoptionRefused(EXPIRED, TokenExpired, user_id)
    return EarlierToken(claims["jti"], user_id, expires_at)


def account_id(claimed: Any) -> int | None:
    """Return the id of the account that a claim names, or ``None``.

    simplejwt wrote numbers before 5.5, and writes text since then. Imported accounts keep their
    number, or have another key, such as a UUID, as ``external_id``.
    """
    text = str(claimed) if type(claimed) is int else claimed
    if type(text) is not str or not text.isprintable():
        return None
    if re.fullmatch(rf"[1-9][0-9]{{0,{LONGEST_ID - 1}}}", text):
        return int(text)
    row = fetch_one(_BY_EXTERNAL_ID, {"external_id": text})
    return row and int(row.id)


_BY_EXTERNAL_ID = select(User.id).where(User.external_id == bindparam("external_id"))


def _wrong_claim(takeover: RunningTakeover, claims: dict[str, Any]) -> str | None:
    """Return which claim of a token is none of a refresh token before the cut-over."""
    issued, expires, jti = (claims.get(name) for name in ("iat", "exp", "jti"))
    if claims.get("token_type") != "refresh":
        return "token type"
    if type(issued) is not int or type(expires) is not int or not 0 <= issued <= expires < 2**33:
        return "times"
    if type(jti) is not str or not JTI.fullmatch(jti):
        return "jti"
    if claims.get("iss") != takeover.issuer:
        return "issuer"
    audience = claims.get("aud")
    if takeover.audience not in (audience if type(audience) is list else [audience]):
        return "audience"
    if expires - issued > takeover.refresh_lifetime:
        return "lifetime"
    cut_over = takeover.started_at + timedelta(seconds=CLOCK_SKEW)
    return "issued after the cut-over" if issued > cut_over.timestamp() else None
