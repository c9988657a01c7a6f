"""Flask-JWT-Extended with a key ring: issue, decode and check tokens."""

from datetime import timedelta
from typing import Any, NamedTuple

import flask_jwt_extended as fje
from flask import Response, current_app, g
from flask_jwt_extended import JWTManager, view_decorators
from jwt import ExpiredSignatureError, InvalidTokenError

from pycoder.clock import now
from pycoder.errors import TokenExpired, TokenInvalid, TokenMissing, TokenRevoked
from pycoder.http.problems import render
from pycoder.keys.ring import current_ring, verify_token
from pycoder.tokens import status_list
from pycoder.tokens.claims import (
    AUDIENCE,
    ISSUER,
    TYP,
    new_jti,
    validate_claim_types,
    validate_claims,
)
from pycoder.tokens.state import TokenState, TokenSubject, load_token_state


class TokenPair(NamedTuple):
    access: str
    refresh: str


class TokenManager(JWTManager):
    """Flask-JWT-Extended, with the key ring in place of its one key and one algorithm.

    Its own two methods accept tokens without ``exp``, ``jti`` or type, and parse each three
    times. test_tokens.py fails when a new release calls them otherwise.
    """

    def _encode_jwt_from_config(
        self,
        identity: TokenSubject,
        token_type: str,
        claims: Any = None,
        fresh: Any = False,
        expires_delta: Any = None,
        headers: Any = None,
    ) -> str:
        """Sign one token of the session that ``identity`` is.

        A refresh token dates from its rotation, so that a retry yields the very same one.
        """
        issued_at = identity.rotated_at or identity.created_at
        expires_at = identity.expires_at
        if token_type == "access":
            issued_at = now()
            lifetime = timedelta(seconds=current_app.config["JWT_ACCESS_TOKEN_EXPIRES"])
            expires_at = min(issued_at + lifetime, expires_at)
        said = {
            "token_type": token_type,
            "exp": int(expires_at.timestamp()),
            "iat": int(issued_at.timestamp()),
            "jti": identity.refresh_jti if token_type == "refresh" else new_jti(),
            "user_id": identity.user_id,
            "sub": str(identity.user_id),
            "sid": str(identity.sid),
            "iss": ISSUER,
            "aud": AUDIENCE,
        }
        ring = current_ring()
        if ring.is_public:
            said["status"] = status_list.status_claim(identity.status_idx)
        return ring.sign(said, typ=TYP[token_type])

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        """Return the claims of a token that we signed, with ``type`` for Flask-JWT-Extended.

        Whether it is valid for too long matters as little as whether it has expired where it is
        only to name its session.
        """
        header, claims = verify_token(
            encoded_token, validate_claim_types if allow_expired else validate_claims
        )
        if claims["exp"] <= now().timestamp() and not allow_expired:
            expired = ExpiredSignatureError("expired")
            expired.jwt_header, expired.jwt_data = header, claims  # type: ignore[attr-defined]
            raise expired
        return {**claims, "type": claims["token_type"]}


jwt = TokenManager()


def _header(encoded_token: str) -> dict[str, Any]:
    """Return the header of a token that was just decoded, which the ring remembers.

    Flask-JWT-Extended would parse the token once more. Applications that are not ours and share
    the process keep its own way.
    """
    if "pycoder.keys" in current_app.extensions:
        return verify_token(encoded_token, validate_claims)[0]
    return fje.utils.get_unverified_jwt_headers(encoded_token)


view_decorators.get_unverified_jwt_headers = _header  # type: ignore[attr-defined]


def issue_tokens(family: TokenSubject) -> TokenPair:
    """Sign a session's live refresh token, and a new access token."""
    return TokenPair(fje.create_access_token(family), fje.create_refresh_token(family))


def decode_token(
    token: str, token_type: str | None = None, *, allow_expired: bool = False
) -> dict[str, Any]:
    """Return the claims of a token of ours that has not expired, whether or not it is good.

    Raises PyJWT's ``InvalidTokenError``, which Flask-JWT-Extended's handlers answer with 401.
    """
    claims: dict[str, Any] = fje.decode_token(token, allow_expired=allow_expired)
    if token_type and claims["token_type"] != token_type:
        raise InvalidTokenError("a token of another type")
    return claims


def current_token_state() -> TokenState:
    """Return the session of the token that the guard let in."""
    return fje.get_current_user()  # type: ignore[no-any-return]


@jwt.token_in_blocklist_loader
def token_in_blocklist(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Answer for every token, in one place, whether it is no longer good."""
    g.standing = load_token_state(claims)
    return not (g.standing and g.standing.is_good(claims))


@jwt.user_lookup_loader
def load_current_token_state(header: dict[str, Any], claims: dict[str, Any]) -> TokenState | None:
    """Load what ``current_session`` returns; the blocklist callback has usually asked already."""
    return g.pop("standing", None) or load_token_state(claims)


@jwt.unauthorized_loader
def token_missing_response(reason: str) -> Response:
    return render(TokenMissing())


@jwt.invalid_token_loader
def token_invalid_response(reason: str) -> Response:
    return render(TokenInvalid())


@jwt.expired_token_loader
def token_expired_response(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    return render(TokenExpired())


@jwt.revoked_token_loader
@jwt.user_lookup_error_loader
def token_revoked_response(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    return render(TokenRevoked())
