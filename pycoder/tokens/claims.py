"""The claims of access and refresh tokens, and their validation."""

import re
import secrets
from typing import Any
from uuid import UUID

from flask import current_app
from jwt import InvalidTokenError

from pycoder.clock import now
from pycoder.tokens import status_list

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
PUBLISHED_CLAIMS = {**CLAIMS, "status": dict}  # of a token that others can verify


def new_jti() -> str:
    """Return 128 random bits as text."""
    return secrets.token_urlsafe(16)


def validate_claims(header: dict[str, Any], claims: Any) -> None:
    """Refuse a signed token whose form is bad, or that is valid for longer than settings allow."""
    validate_claim_types(header, claims)
    longest: int = current_app.config[f"JWT_{claims['token_type'].upper()}_TOKEN_EXPIRES"]
    if claims["exp"] - claims["iat"] > longest:
        raise InvalidTokenError("valid for too long")


def validate_claim_types(header: dict[str, Any], claims: Any) -> None:
    """Refuse a signed token that lacks a claim, has one of another type, or contradicts itself.

    No claim is given a default (RFC 8725 §3.8 to §3.12), and numbers are whole numbers, since
    PyJWT would also read ``"9_999"``.
    """
    expected = CLAIMS if header["alg"] == "HS256" else PUBLISHED_CLAIMS
    if type(claims) is not dict or claims.keys() != expected.keys():
        raise InvalidTokenError("other claims than ours")
    if "status" in claims and not status_list.is_status_claim(claims["status"]):
        raise InvalidTokenError("a status that is not ours")
    if any(type(claims[name]) is not kind for name, kind in expected.items()):
        raise InvalidTokenError("a claim of the wrong type")
    if not (
        claims["iss"] == ISSUER
        and claims["aud"] == AUDIENCE
        and claims["token_type"] in TYP
        and header["typ"] == TYP[claims["token_type"]]
        and 0 < claims["user_id"] < 2**63  # what a database can be asked for
        and claims["sub"] == str(claims["user_id"])
        and JTI.fullmatch(claims["jti"])
        and 0 <= claims["iat"] <= claims["exp"]
        and claims["iat"] <= now().timestamp() + CLOCK_SKEW
    ):
        raise InvalidTokenError("a claim that contradicts")
    try:
        UUID(claims["sid"])
    except ValueError as error:
        raise InvalidTokenError("no session id") from error
