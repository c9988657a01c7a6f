"""Refresh, verify, revoke and introspect tokens."""

from typing import Any

from flask import request
from jwt import InvalidTokenError

from pycoder.auth import bp
from pycoder.auth.cookies import token_pair_response
from pycoder.auth.decorators import (
    client_auth_required,
    current_refresh_jti,
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
from pycoder.client_info import ClientInfo
from pycoder.errors import TokenExpired, TokenInvalid, TokenRevoked, TooManyRequests
from pycoder.sessions import lifecycle
from pycoder.sessions.refresh import rotate_refresh_token
from pycoder.tokens import introspection
from pycoder.tokens.jwt import current_token_state, decode_token, token_in_blocklist


@bp.post("/token/refresh/")
@bp.arguments(RefreshSchema, required=False)
@bp.arguments(IdempotencySchema, location="headers")
@refresh_token_required
@bp.response(200, RefreshResultSchema)
@bp.hands_out_tokens("")
@bp.refuses(TooManyRequests)
def refresh(body: dict[str, str], headers: dict[str, str | None]) -> Any:
    """Trade a refresh token for a new pair.

    Each refresh token is good for one use; a second use ends its session. A client that may lose
    an answer sends an Idempotency-Key, and repeats the call with it.
    """
    session = current_token_state()
    pair = rotate_refresh_token(
        session, current_refresh_jti(), **headers, client=ClientInfo.from_request(request)
    )
    handed = token_pair_response(pair, session.transport)
    return handed.get("tokens", handed)


@bp.post("/token/verify/")
@bp.arguments(VerifySchema)
@bp.response(200, EmptySchema)
@bp.refuses(TokenInvalid, TokenExpired, TokenRevoked)
def verify(body: dict[str, str]) -> dict[str, str]:
    """Tell whether an access or refresh token is still good."""
    claims = decode_token(body["token"])
    if token_in_blocklist({}, claims):
        raise TokenRevoked
    return {}


@bp.post("/token/revoke/")
@bp.arguments(RevokeSchema)
@bp.response(200, EmptySchema)
def revoke(body: dict[str, str]) -> dict[str, str]:
    """Revoke a token (RFC 7009): an access token alone, with a refresh token its session.

    A token that is not good anyway is no error.
    """
    try:
        claims = decode_token(body["token"])
    except InvalidTokenError:
        return {}
    lifecycle.revoke_token(claims, client=ClientInfo.from_request(request))
    return {}


@bp.post("/token/introspect/")
@client_auth_required
@bp.arguments(IntrospectSchema)
@bp.response(200, IntrospectionSchema)
def introspect(body: dict[str, str]) -> dict[str, Any]:
    """Tell a service whether an access token is good, and whose it is (RFC 7662).

    Of a token that is revoked, has expired, is a refresh token or none of ours, it is only told
    that it is not active.
    """
    return introspection.introspect_token(body["token"])
