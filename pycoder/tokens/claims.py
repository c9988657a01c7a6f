"""The claims of access and refresh tokens, and their validation."""

import re
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import current_app
from jwt import InvalidTokenError

from pycoder.clock import now
from pycoder.tokens.state import TokenSubject
from pycoder.tokens.status_list import is_status_claim

ISSUER = "pycoder"
AUDIENCE = "pycoder"
CLOCK_SKEW = 10  # seconds that the clock of another node may be ahead
JTI = re.compile(r"[\w-]{22}", re.ASCII)
TYP = {"access": "at+jwt", "refresh": "rt+jwt"}  # RFC 8725 §3.11, RFC 9068 §2.1
CLAIMS = {
    "token_type": str,
    "exp": int,
    "iat": int,
    "jti": str,
    "user_id": int,
    "sub": str,
    "sid": str,
    "iss": str,
    "aud": str,
}
PUBLISHED_CLAIMS = {**CLAIMS, "status": dict}  # of tokens that services can verify


def new_jti() -> str:
    """Return 128 random bits as text."""
    return secrets.token_urlsafe(16)


def create_claims(
    session: TokenSubject, token_type: str, issued_at: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Return the claims of a token, but for ``status``. Times become whole seconds."""
    return {
        "token_type": token_type,
        "exp": int(expires_at.timestamp()),
        "iat": int(issued_at.timestamp()),
        "jti": session.refresh_jti if token_type == "refresh" else new_jti(),
        "user_id": session.user_id,
        "sub": str(session.user_id),
        "sid": str(session.session_id),
        "iss": ISSUER,
        "aud": AUDIENCE,
    }


def validate_claims(header: dict[str, Any], claims: Any) -> None:
    """Reject a token of another form, or one valid for longer than the settings allow."""
    validate_claim_types(header, claims)
    longest: int = current_app.config[f"JWT_{claims['token_type'].upper()}_TOKEN_EXPIRES"]
    if claims["exp"] - claims["iat"] > longest:
        raise InvalidTokenError("valid for too long")


def validate_claim_types(header: dict[str, Any], claims: Any) -> None:
    """Check that a token has exactly the expected claims, with valid types and values.

    A missing claim is never given a default (RFC 8725 §3.8 to §3.12). A number must be an integer:
    PyJWT alone would also accept the string ``"9_999"``. A token signed with HS256 has no
    ``status``, because services cannot verify it. Raises ``InvalidTokenError``.
    """
    expected = CLAIMS if header["alg"] == "HS256" else PUBLISHED_CLAIMS
    if type(claims) is not dict or claims.keys() != expected.keys():
        raise InvalidTokenError("a claim is missing or unknown")
    if "status" in claims and not is_status_claim(claims["status"]):
        raise InvalidTokenError("invalid status claim")
    if any(type(claims[name]) is not kind for name, kind in expected.items()):
        raise InvalidTokenError("a claim of the wrong type")
    if not (
        claims["iss"] == ISSUER
        and claims["aud"] == AUDIENCE
        and claims["token_type"] in TYP
        and header["typ"] == TYP[claims["token_type"]]
        and 0 < claims["user_id"] < 2**63  # the range of the column
        and claims["sub"] == str(claims["user_id"])
        and JTI.fullmatch(claims["jti"])
        and 0 <= claims["iat"] <= claims["exp"]
        and claims["iat"] <= now().timestamp() + CLOCK_SKEW
    ):
        raise InvalidTokenError("a claim has the wrong value")
    try:
        UUID(claims["sid"])
    except ValueError as error:
        raise InvalidTokenError("invalid session id") from error
