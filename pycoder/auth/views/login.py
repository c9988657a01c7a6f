"""Registration, login and logout."""

from typing import Any

from flask import request

from pycoder.accounts import registration
from pycoder.auth import bp
from pycoder.auth.cookies import token_response
from pycoder.auth.decorators import claims_from_request, same_origin_required
from pycoder.auth.schemas.accounts import RegisterSchema
from pycoder.auth.schemas.sessions import LoginResultSchema, LoginSchema, LogoutSchema
from pycoder.client_info import ClientInfo
from pycoder.errors import (
    InvalidCredentials,
    Overloaded,
    RegistrationClosed,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TooManyRequests,
)
from pycoder.sessions import lifecycle
from pycoder.sessions.login import log_in


@bp.post("/register/")
@bp.arguments(RegisterSchema)
@same_origin_required
@bp.response(201, LoginResultSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(RegistrationClosed, TooManyRequests, Overloaded)
def register(profile: dict[str, Any]) -> dict[str, Any]:
    """Make an account and sign it in."""
    signed_in = registration.register(**profile, client=ClientInfo.from_request(request))
    return token_response(signed_in, profile["transport"])


@bp.post("/login/")
@bp.arguments(LoginSchema)
@same_origin_required
@bp.response(200, LoginResultSchema)
@bp.hands_out_tokens("/tokens")
@bp.refuses(InvalidCredentials, TooManyRequests, Overloaded)
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Sign in with an e-mail address or a username, and a password."""
    signed_in = log_in(**credentials, client=ClientInfo.from_request(request))
    return token_response(signed_in, credentials["transport"])


@bp.post("/logout/")
@bp.arguments(LogoutSchema, required=False)
@bp.response(204)
@bp.refuses(TokenMissing, TokenInvalid, TokenExpired)
@bp.doc(security=[{"bearer": []}, {"cookie": []}, {}])
def logout(body: dict[str, str]) -> None:
    """End the session, at once and everywhere, by its access token, its refresh token or both.

    In its cookie, an access token may have expired; the answer deletes the cookies.
    """
    lifecycle.log_out(
        claims_from_request(body.get("refresh")), client=ClientInfo.from_request(request)
    )
