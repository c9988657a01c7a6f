"""The seed's flow: register, login, user, refresh, verify, revoke, logout."""

from typing import Any

from flask import request
from jwt import InvalidTokenError

from pycoder import accounts, sessions, tokens
from pycoder.auth import bp
from pycoder.auth.delivery import deliver, handed_over
from pycoder.auth.guards import (
    claims_sent,
    client_of,
    refresh_jti,
    signed_in,
    signs_in,
    with_refresh_token,
)
from pycoder.auth.schemas import (
    LoginSchema,
    LogoutSchema,
    NothingSchema,
    RefreshedSchema,
    RefreshSchema,
    RegisterSchema,
    RetrySchema,
    RevokeSchema,
    SignedInSchema,
    UserSchema,
    VerifySchema,
)
from pycoder.errors import (
    InvalidCredentials,
    Overloaded,
    RegistrationClosed,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    TooManyRequests,
)


@bp.post("/register/")
@bp.arguments(RegisterSchema)
@signs_in
@bp.response(201, SignedInSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(RegistrationClosed, TooManyRequests, Overloaded)
def register(profile: dict[str, Any]) -> dict[str, Any]:
    """Make an account and sign it in."""
    signed_in = accounts.register(**profile, client=client_of(request))
    return deliver(signed_in, profile["transport"])


@bp.post("/login/")
@bp.arguments(LoginSchema)
@signs_in
@bp.response(200, SignedInSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(InvalidCredentials, TooManyRequests, Overloaded)
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Sign in with an e-mail address or a username, and a password."""
    signed_in = sessions.login(**credentials, client=client_of(request))
    return deliver(signed_in, credentials["transport"])


@bp.get("/user/")
@signed_in
@bp.response(200, UserSchema)
def user() -> tokens.Standing:
    """Return the user whose access token this is."""
    return tokens.current_session()


@bp.post("/token/refresh/")
@bp.arguments(RefreshSchema, required=False)
@bp.arguments(RetrySchema, location="headers")
@with_refresh_token
@bp.response(200, RefreshedSchema)
@bp.hands_out_tokens("")
@bp.refuses(TooManyRequests)
def refresh(body: dict[str, str], headers: dict[str, str | None]) -> Any:
    """Trade a refresh token for a new pair.

    Each refresh token is good for one use; a second use ends its session. A client that may lose
    an answer sends an Idempotency-Key, and repeats the call with it.
    """
    session = tokens.current_session()
    pair = sessions.refresh(session, refresh_jti(), **headers, client=client_of(request))
    handed = handed_over(pair, session.transport)
    return handed.get("tokens", handed)


@bp.post("/token/verify/")
@bp.arguments(VerifySchema)
@bp.response(200, NothingSchema)
@bp.refuses(TokenInvalid, TokenExpired, TokenRevoked)
def verify(body: dict[str, str]) -> dict[str, str]:
    """Tell whether an access or refresh token is still good."""
    claims = tokens.decode(body["token"])
    if tokens.token_in_blocklist({}, claims):
        raise TokenRevoked
    return {}


@bp.post("/token/revoke/")
@bp.arguments(RevokeSchema)
@bp.response(200, NothingSchema)
def revoke(body: dict[str, str]) -> dict[str, str]:
    """Revoke a token (RFC 7009): an access token alone, with a refresh token its session.

    A token that is not good anyway is no error.
    """
    try:
        claims = tokens.decode(body["token"])
    except InvalidTokenError:
        return {}
    sessions.revoke(claims, client=client_of(request))
    return {}


@bp.post("/logout/")
@bp.arguments(LogoutSchema, required=False)
@bp.response(204)
@bp.refuses(TokenMissing, TokenInvalid, TokenExpired)
@bp.doc(security=[{"bearer": []}, {"cookie": []}, {}])
def logout(body: dict[str, str]) -> None:
    """End the session, at once and everywhere, by its access token, its refresh token or both.

    In its cookie, an access token may have expired; the answer deletes the cookies.
    """
    sessions.logout(claims_sent(body.get("refresh")), client=client_of(request))
