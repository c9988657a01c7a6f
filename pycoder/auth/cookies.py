"""Token responses: tokens in the body or in cookies."""

from typing import Any

from flask import Response, after_this_request, current_app

from pycoder.auth.csrf import csrf_token
from pycoder.sessions.login import LoginResult
from pycoder.tokens.jwt import TokenPair, decode_token

DEVICE_COOKIE = "device"
YEAR = 365 * 86_400


def token_response(signed_in: LoginResult, transport: str) -> dict[str, Any]:
    """Return what the body holds of a sign-in, and have the answer set its cookies."""
    _set_cookie(DEVICE_COOKIE, signed_in.device, YEAR, "/api/")
    return {"user": signed_in.user, **token_pair_response(signed_in.tokens, transport)}


def token_pair_response(pair: TokenPair, transport: str) -> dict[str, Any]:
    """Return what the body holds of a pair; the tokens of a cookie session are never in it.

    All its cookies live as long as the refresh token, so that an access token that has expired
    can still sign out.
    """
    if transport == "body":
        return {"tokens": pair}
    access, refresh = map(decode_token, pair)
    csrf = csrf_token(access["sid"])
    set_cookies(*pair, csrf, refresh["exp"] - access["iat"])
    return {"expires_in": access["exp"] - access["iat"], "csrf_token": csrf}


def set_cookies(access: str = "", refresh: str = "", csrf: str = "", max_age: int = 0) -> None:
    """Have the answer set the cookies of a session, or delete them where nothing is given.

    A refusal or fault does neither: who is told to try again still needs what there was.
    """
    name = current_app.config["JWT_ACCESS_COOKIE_NAME"]
    _set_cookie(name, access, max_age, "/")
    _set_cookie(current_app.config["JWT_REFRESH_COOKIE_NAME"], refresh, max_age, "/api/token/")
    _set_cookie(name.replace("access", "csrf"), csrf, max_age, "/", httponly=False)  # for scripts


def _set_cookie(name: str, value: str, max_age: int, path: str, *, httponly: bool = True) -> None:
    secure = current_app.config["COOKIE_SECURE"]

    @after_this_request
    def on_its_answer(response: Response) -> Response:
        if response.status_code < 400:
            response.set_cookie(
                name, value, max_age, path=path, secure=secure, httponly=httponly, samesite="Lax"
            )
        return response
