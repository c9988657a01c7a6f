"""Token responses: tokens in the body or in cookies."""

from typing import Any

from flask import Response, after_this_request, current_app

from pycoder.auth.csrf import csrf_token
from pycoder.client_info import DEVICE_COOKIE
from pycoder.sessions import devices
from pycoder.sessions.login import LoginResult
from pycoder.tokens.jwt import TokenPair, decode_token


def token_response(result: LoginResult) -> dict[str, Any]:
    """Return the body of a login, and set its cookies on the response."""
    lifetime = int(devices.LIFETIME.total_seconds())
    _set_cookie(DEVICE_COOKIE, result.device, lifetime, "/api/")
    codes = {"recovery_codes": result.recovery_codes} if result.recovery_codes else {}
    return {"user": result.user, **token_pair_response(result.tokens, result.transport), **codes}


def token_pair_response(pair: TokenPair, transport: str) -> dict[str, Any]:
    """Return the body of a token pair, and set the cookies of a cookie session.

    The tokens of a cookie session are only in cookies. All cookies live as long as the refresh
    token, so that a browser can log out with an expired access token.
    """
    if transport == "body":
        return {"tokens": pair}
    access, refresh = map(decode_token, pair)
    csrf = csrf_token(access["sid"])
    _set_token_cookies(*pair, csrf, refresh["exp"] - access["iat"])
    return {"expires_in": access["exp"] - access["iat"], "csrf_token": csrf}


def delete_token_cookies() -> None:
    """Delete the cookies of a session on the response."""
    _set_token_cookies("", "", "", 0)


def _set_token_cookies(access: str, refresh: str, csrf: str, max_age: int) -> None:
    name = current_app.config["JWT_ACCESS_COOKIE_NAME"]
    _set_cookie(name, access, max_age, "/")
    _set_cookie(current_app.config["JWT_REFRESH_COOKIE_NAME"], refresh, max_age, "/api/token/")
    _set_cookie(name.replace("access", "csrf"), csrf, max_age, "/", httponly=False)  # for scripts


def _set_cookie(name: str, value: str, max_age: int, path: str, *, httponly: bool = True) -> None:
    """Set a cookie on the response, unless it is an error.

    A client that retries needs its present cookies.
    """
    secure = current_app.config["COOKIE_SECURE"]

    @after_this_request
    def set_on_success(response: Response) -> Response:
        if response.status_code < 400:
            response.set_cookie(
                name, value, max_age, path=path, secure=secure, httponly=httponly, samesite="Lax"
            )
        return response
