"""The claims of access and refresh tokens, and their validation."""

import re
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import current_app
from jwt import InvalidTokenError

from pycoder.clock import now
from pycoder.keys.key import ACCESS_TYP, REFRESH_TYP
from pycoder.tokens.state import TokenSubject
from pycoder.tokens.status_list import is_status_claim

CLIENT_ID = "pycoder"  # of the frontends that use the API itself (RFC 9068 §2.2)
CLOCK_STEP = 86_400  # seconds by which a clock may be corrected without refusing tokens
JTI = re.compile(r"[\w-]{22}", re.ASCII)
TYP = {"access": ACCESS_TYP, "refresh": REFRESH_TYP}
REFRESH_CLAIMS = {
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
ACCESS_CLAIMS = {
    **REFRESH_CLAIMS,
    "client_id": str,
    "auth_time": int,
    "amr": list,
    "acr": str,
    "roles": list,
}
OPTIONAL_CLAIMS = {"external_id"}  # of access tokens: the key of an imported account elsewhere
PUBLISHED_CLAIMS = {**ACCESS_CLAIMS, "status": dict}  # of tokens that services can verify


def new_jti() -> str:
    """Return 128 random bits as text."""
    return secrets.token_urlsafe(16)


def create_claims(
    session: TokenSubject, token_type: str, issued_at: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Return the claims of a token, but for ``status``. Times become whole seconds.

    A refresh token is for PyCoder alone, so its audience is the issuer.
    """
    settings = current_app.config
    claims = {
        "token_type": token_type,
        "exp": int(expires_at.timestamp()),
        "iat": int(issued_at.timestamp()),
        "jti": session.refresh_jti if token_type == "refresh" else new_jti(),
        "user_id": session.user_id,
        "sub": str(session.user_id),
        "sid": str(session.session_id),
        "iss": settings["JWT_ISSUER"],
        "aud": settings["JWT_ISSUER"],
    }
    if token_type == "refresh":
        return claims
    external = {"external_id": session.external_id} if session.external_id else {}
    return claims | {
        "aud": settings["JWT_AUDIENCE"],
        "client_id": CLIENT_ID,
        "auth_time": int(session.authenticated_at.timestamp()),
        "amr": session.amr.split(),
        "acr": acr_of(session.amr.split()),
        "roles": session.roles,
        **external,
    }


def acr_of(amr: list[str]) -> str:
    """Return the strength of an authentication by its methods.

    ``phr`` is resistant to phishing (OpenID EAP ACR Values 1.0), ``aal2`` has two factors, and
    ``aal1`` one (NIST SP 800-63B).
    """
    return "phr" if "pop" in amr else "aal2" if "mfa" in amr else "aal1"


def validate_claims(header: dict[str, Any], claims: Any) -> None:
    """Reject a token of another form, or one valid for longer than the settings allow."""
    validate_claim_types(header, claims)
    longest: int = current_app.config[f"JWT_{claims['token_type'].upper()}_TOKEN_EXPIRES"]
    if claims["exp"] - claims["iat"] > longest:
        raise InvalidTokenError("valid for too long")


def validate_claim_types(header: dict[str, Any], claims: Any) -> None:
    """Check that a token has exactly the expected claims, with valid types and values.

    A missing claim is never given a default (RFC 8725 §3.8 to §3.12). A number must be an integer:
    PyJWT alone would also accept the string ``"9_999"``. Only access tokens of an imported account
    have an ``external_id``. A token signed with HS256 has no ``status``, because services cannot
    verify it. The signature vouches for ``iat``, so a clock that was corrected by less than
    ``CLOCK_STEP`` makes no token invalid. Raises ``InvalidTokenError``.
    """
    is_access = header["typ"] == ACCESS_TYP
    published = ACCESS_CLAIMS if header["alg"] == "HS256" else PUBLISHED_CLAIMS
    expected = published if is_access else REFRESH_CLAIMS
    optional = OPTIONAL_CLAIMS if is_access else set()
    if type(claims) is not dict or claims.keys() - optional != expected.keys():
        raise InvalidTokenError("a claim is missing or unknown")
    if "status" in claims and not is_status_claim(claims["status"]):
        raise InvalidTokenError("invalid status claim")
    if any(type(claims[name]) is not kind for name, kind in expected.items()):
        raise InvalidTokenError("a claim of the wrong type")
    if not (
        claims["iss"] == current_app.config["JWT_ISSUER"]
        and claims["aud"] == current_app.config["JWT_AUDIENCE" if is_access else "JWT_ISSUER"]
        and claims["token_type"] in TYP
        and header["typ"] == TYP[claims["token_type"]]
        and 0 < claims["user_id"] < 2**63  # the range of the column
        and claims["sub"] == str(claims["user_id"])
        and JTI.fullmatch(claims["jti"])
        and 0 <= claims["iat"] <= claims["exp"]
        and claims["iat"] <= now().timestamp() + CLOCK_STEP
        and (not is_access or _are_access_claims(claims))
    ):
        raise InvalidTokenError("a claim has the wrong value")
    try:
        UUID(claims["sid"])
    except ValueError as error:
        raise InvalidTokenError("invalid session id") from error


def _are_access_claims(claims: dict[str, Any]) -> bool:
    """Return whether the claims that only access tokens have are valid."""
    return bool(
        claims["client_id"] == CLIENT_ID
        and claims["auth_time"] >= 0
        and claims["amr"]
        and all(type(method) is str for method in claims["amr"])
        and claims["acr"] == acr_of(claims["amr"])
        and all(type(role) is str for role in claims["roles"])
        and type(claims.get("external_id", "x")) is str
    )
