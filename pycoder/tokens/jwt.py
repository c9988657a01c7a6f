"""Flask-JWT-Extended with a key ring: issue and decode tokens, check their state."""

from datetime import timedelta
from typing import Any, NamedTuple

import flask_jwt_extended as fje
from flask import Response, current_app, g
from flask_jwt_extended import JWTManager
from jwt import ExpiredSignatureError, InvalidTokenError

from pycoder.clock import now
from pycoder.errors import TokenExpired, TokenInvalid, TokenMissing, TokenRevoked
from pycoder.http.problems import render
from pycoder.keys.ring import current_ring, verify_token
from pycoder.tokens.claims import TYP, create_claims, validate_claim_types, validate_claims
from pycoder.tokens.state import TokenState, TokenSubject, load_token_state
from pycoder.tokens.status_list import status_claim


class TokenPair(NamedTuple):
    """An access token and the refresh token of its session."""

    access: str
    refresh: str


class TokenManager(JWTManager):
    """Flask-JWT-Extended with a key ring instead of a single key and algorithm.

    Its own two methods accept tokens without ``exp``, ``jti`` or type, and parse each three times.
    The library has no public way to use keys of several algorithms, so it is pinned in setup.cfg,
    and a test fails when a new release calls the two methods differently.
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
        """Sign an access or refresh token of a session.

        A refresh token dates from its rotation, so that a retry yields exactly the same one.
        """
        issued_at = identity.rotated_at or identity.created_at
        expires_at = identity.expires_at
        if token_type == "access":
            issued_at = now()
            lifetime = timedelta(seconds=current_app.config["JWT_ACCESS_TOKEN_EXPIRES"])
            expires_at = min(issued_at + lifetime, expires_at)
        payload = create_claims(identity, token_type, issued_at, expires_at)
        ring = current_ring()
        if token_type == "access" and ring.is_public:
            payload["status"] = status_claim(identity.status_idx)
        return ring.sign(payload, typ=TYP[token_type])

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        """Return the claims of a token of the key ring, and ``type`` for the library.

        With ``allow_expired``, the token only names its session, so that its lifetime does not
        matter either.
        """
        validate = validate_claim_types if allow_expired else validate_claims
        header, claims = verify_token(encoded_token, validate)
        if claims["exp"] <= now().timestamp() and not allow_expired:
            expired = ExpiredSignatureError("expired")
            expired.jwt_header, expired.jwt_data = header, claims  # type: ignore[attr-defined]
            raise expired
        return {**claims, "type": claims["token_type"]}


jwt = TokenManager()


def issue_tokens(session: TokenSubject) -> TokenPair:
    """Sign a new access token and the refresh token of a session."""
    return TokenPair(fje.create_access_token(session), fje.create_refresh_token(session))


def decode_token(
    token: str, token_type: str | None = None, *, allow_expired: bool = False
) -> dict[str, Any]:
    """Return the claims of a token, without checking its state.

    Raises PyJWT's ``InvalidTokenError``, to which Flask-JWT-Extended's handlers respond 401.
    """
    claims: dict[str, Any] = fje.decode_token(token, allow_expired=allow_expired)
    if token_type and claims["token_type"] != token_type:
        raise InvalidTokenError("a token of another type")
    return claims


def current_token_state() -> TokenState:
    """Return the state of the token that the request was authenticated with."""
    return fje.get_current_user()  # type: ignore[no-any-return]


@jwt.token_in_blocklist_loader
def token_in_blocklist(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether a token is revoked: by itself, with its session, or by rotation.

    Raises ``TokenExpired`` for an access token with former roles: the client refreshes it.
    """
    g.token_state = state = load_token_state(claims)
    if not (state and state.is_valid(claims)):
        return True
    if state.is_outdated(claims):
        raise TokenExpired
    return False


@jwt.user_lookup_loader
def load_current_token_state(header: dict[str, Any], claims: dict[str, Any]) -> TokenState | None:
    """Return the state that ``token_in_blocklist`` has loaded, or load it."""
    return g.pop("token_state", None) or load_token_state(claims)


@jwt.unauthorized_loader
def token_missing_response(reason: str) -> Response:
    """Respond to a request without a token."""
    return render(TokenMissing())


@jwt.invalid_token_loader
def token_invalid_response(reason: str) -> Response:
    """Respond to a malformed or forged token."""
    return render(TokenInvalid())


@jwt.expired_token_loader
def token_expired_response(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    """Respond to an expired token."""
    return render(TokenExpired())


@jwt.revoked_token_loader
@jwt.user_lookup_error_loader
def token_revoked_response(header: dict[str, Any], claims: dict[str, Any]) -> Response:
    """Respond to a revoked token, and to one whose session is gone."""
    return render(TokenRevoked())
