"""Refresh, verify, revoke and introspect tokens."""

from typing import Any

from jwt import InvalidTokenError

from pycoder.auth import bp
from pycoder.auth.cookies import token_pair_response
from pycoder.auth.decorators import (
    client_auth_required,
    current_jti,
    earlier_tokens_traded,
    refresh_token_required,
)
from pycoder.auth.schemas.base import EmptySchema
from pycoder.auth.schemas.tokens import (
    IdempotencySchema,
    IntrospectionSchema,
    IntrospectSchema,
    RefreshResultSchema,
    RefreshSchema,
    RevokeSchema,
    VerifySchema,
)
from pycoder.errors import TokenExpired, TokenInvalid, TokenRevoked, TooManyRequests
from pycoder.http.openapi import SETS_COOKIES
from pycoder.sessions import lifecycle
from pycoder.sessions.refresh import rotate_refresh_token
from pycoder.tokens import introspection
from pycoder.tokens.jwt import current_token_state, decode_token, token_in_blocklist


@bp.post("/token/refresh/")
@bp.arguments(RefreshSchema, required=False)
@bp.arguments(IdempotencySchema, location="headers")
@bp.response(200, RefreshResultSchema, headers=SETS_COOKIES)
@bp.links("")
@bp.errors(TooManyRequests)
@earlier_tokens_traded
@refresh_token_required
def refresh(body: dict[str, str], headers: dict[str, str | None]) -> Any:
    """Exchange a refresh token for a new token pair.

    A refresh token is valid for one use. A second use ends its session. A client that may lose a
    response sends an Idempotency-Key, and repeats the request with the same key.
    """
    state = current_token_state()
    pair = rotate_refresh_token(state, current_jti(), idempotency_key=headers["idempotency_key"])
    response = token_pair_response(pair, state.transport)
    return response.get("tokens", response)


@bp.post("/token/verify/")
@bp.arguments(VerifySchema)
@bp.response(200, EmptySchema)
@bp.errors(TokenInvalid, TokenExpired, TokenRevoked)
def verify(body: dict[str, str]) -> dict[str, str]:
    """Verify that an access or refresh token is still valid."""
    claims = decode_token(body["token"])
    if token_in_blocklist({}, claims):
        raise TokenRevoked
    return {}


@bp.post("/token/revoke/")
@bp.arguments(RevokeSchema)
@bp.response(200, EmptySchema)
@bp.errors(TooManyRequests)
def revoke(body: dict[str, str]) -> dict[str, str]:
    """Revoke an access token, or the session of a refresh token (RFC 7009).

    An invalid token is no error.
    """
    try:
        claims = decode_token(body["token"])
    except InvalidTokenError:
        return {}
    lifecycle.revoke_token(claims)
    return {}


@bp.post("/token/introspect/")
@client_auth_required
@bp.arguments(IntrospectSchema)
@bp.response(200, IntrospectionSchema)
def introspect(body: dict[str, str]) -> dict[str, Any]:
    """Return the state and the claims of an access token to a service (RFC 7662).

    Any other token is reported as inactive: revoked, expired, unknown, or a refresh token.
    """
    return introspection.introspect_token(body["token"])
