"""Registration, login and logout."""

from typing import Any

from pycoder.accounts import registration
from pycoder.auth import bp
from pycoder.auth.cookies import token_response
from pycoder.auth.decorators import claims_from_request, same_origin_required
from pycoder.auth.schemas.accounts import RegisterSchema
from pycoder.auth.schemas.sessions import LoginResultSchema, LoginSchema, LogoutSchema
from pycoder.errors import (
    EmailUnverified,
    InvalidCredentials,
    Overloaded,
    RegistrationClosed,
    SecondFactorRequired,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TooManyRequests,
)
from pycoder.http.openapi import SETS_COOKIES
from pycoder.sessions import lifecycle
from pycoder.sessions.login import log_in


@bp.post("/register/")
@bp.arguments(RegisterSchema)
@same_origin_required
@bp.response(201, LoginResultSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(RegistrationClosed, TooManyRequests, Overloaded)
def register(profile: dict[str, Any]) -> dict[str, Any]:
    """Create an account, and sign its user in."""
    return token_response(registration.register(**profile))


@bp.post("/login/")
@bp.arguments(LoginSchema)
@same_origin_required
@bp.response(200, LoginResultSchema, headers=SETS_COOKIES)
@bp.links("/tokens")
@bp.errors(InvalidCredentials, SecondFactorRequired, EmailUnverified, TooManyRequests, Overloaded)
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Sign in with an e-mail address or a username, and a password.

    An account with a second factor gets a ticket for the second step. Where the service requires
    a factor that the account lacks, ``methods`` is empty, ``enrol`` is true, and the ticket is for
    ``POST /api/login/enrol/``, whose first code is the second step.
    """
    return token_response(log_in(**credentials))


@bp.post("/logout/")
@bp.arguments(LogoutSchema, required=False)
@bp.response(204, headers=SETS_COOKIES)
@bp.errors(TokenMissing, TokenInvalid, TokenExpired, TooManyRequests)
@bp.doc(security=[{"bearer": []}, {"cookie": []}, {}])
def logout(body: dict[str, str]) -> None:
    """End the session of an access token, a refresh token, or both.

    It ends at once on every node. An access token in its cookie may have expired. The response
    deletes the cookies.
    """
    lifecycle.log_out(claims_from_request(body.get("refresh")))
