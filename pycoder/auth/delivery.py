"""How a sign-in reaches the client: the pair in the body or in cookies, the device in a cookie."""

import base64
import hmac
from typing import Any

from flask import Response, after_this_request, current_app

from pycoder import tokens
from pycoder.keys import derive
from pycoder.sessions import SignedIn
from pycoder.tokens import Pair

DEVICE_COOKIE = "device"
YEAR = 365 * 86_400


def deliver(signed_in: SignedIn, transport: str) -> dict[str, Any]:
    """Return what the body holds of a sign-in, and have the answer set its cookies."""
    _set(DEVICE_COOKIE, signed_in.device, YEAR, "/api/")
    return {"user": signed_in.user, **handed_over(signed_in.tokens, transport)}


def handed_over(pair: Pair, transport: str) -> dict[str, Any]:
    """Return what the body holds of a pair; the tokens of a cookie session are never in it.

    All its cookies live as long as the refresh token, so that an access token that has expired
    can still sign out.
    """
    if transport == "body":
        return {"tokens": pair}
    access, refresh = map(tokens.decode, pair)
    csrf = csrf_token(access["sid"])
    set_cookies(*pair, csrf, refresh["exp"] - access["iat"])
    return {"expires_in": access["exp"] - access["iat"], "csrf_token": csrf}


def set_cookies(access: str = "", refresh: str = "", csrf: str = "", max_age: int = 0) -> None:
    """Have the answer set the cookies of a session, or delete them where nothing is given.

    A refusal or fault does neither: who is told to try again still needs what there was.
    """
    name = current_app.config["JWT_ACCESS_COOKIE_NAME"]
    _set(name, access, max_age, "/")
    _set(current_app.config["JWT_REFRESH_COOKIE_NAME"], refresh, max_age, "/api/token/")
    _set(name.replace("access", "csrf"), csrf, max_age, "/", httponly=False)  # for scripts


def _set(name: str, value: str, max_age: int, path: str, *, httponly: bool = True) -> None:
    secure = current_app.config["COOKIE_SECURE"]

    @after_this_request
    def on_its_answer(response: Response) -> Response:
        if response.status_code < 400:
            response.set_cookie(
                name, value, max_age, path=path, secure=secure, httponly=httponly, samesite="Lax"
            )
        return response


def csrf_token(sid: str) -> str:
    """Return what a page has to send with the cookies of a session: a MAC of the session's id."""
    key = derive(current_app.config["SECRET_KEY"], "csrf token")
    mac = hmac.digest(key, sid.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
