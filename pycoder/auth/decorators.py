"""View decorators that authenticate API requests."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import current_app, request
from flask_jwt_extended import get_jwt, verify_jwt_in_request
from jwt import InvalidTokenError

from pycoder.audit import Event
from pycoder.auth import bp
from pycoder.auth.cookies import delete_token_cookies
from pycoder.auth.csrf import check_csrf, check_origin
from pycoder.auth.schemas.base import REQUIRED
from pycoder.errors import (
    CsrfFailed,
    Forbidden,
    InvalidClient,
    InvalidInput,
    TokenInvalid,
    TokenMissing,
    TokenProblem,
    TokenReused,
    TooManyRequests,
)
from pycoder.http.openapi import ACCESS_TOKEN_PROBLEMS
from pycoder.takeover.tokens import is_earlier_token
from pycoder.takeover.trade import claims_to_log_out, trade
from pycoder.tokens.introspection import authenticate_client
from pycoder.tokens.jwt import current_token_state, decode_token
from pycoder.tokens.state import record_token_misuse

View = Callable[..., Any]


def access_token_required(view: View) -> View:
    """Require a valid access token in the ``Authorization`` header or its cookie.

    A Bearer header decides alone, whatever cookies are sent. A foreign page cannot make a browser
    send one.
    """

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        in_header = header_token()
        if not (in_header or cookie_token("access")):
            raise TokenMissing
        verify_token_in("headers" if in_header else "cookies")
        return view(*args, **kwargs)

    documented = bp.doc(security=[{"bearer": []}, {"cookie": []}])(wrapper)
    return bp.errors(*ACCESS_TOKEN_PROBLEMS)(documented)


def role_required(role: str) -> Callable[[View], View]:
    """Require a valid access token of a user that has a role now.

    The role is read from the database with the state of the token, in the same SELECT. Raises
    ``Forbidden``, which names ``insufficient_scope`` (RFC 6750 §3.1).
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if role not in current_token_state().roles:
                raise Forbidden
            return view(*args, **kwargs)

        return access_token_required(bp.errors(Forbidden)(wrapper))

    return decorate


def refresh_token_required(view: View) -> View:
    """Require a refresh token in the body or the refresh cookie that has not expired.

    The use case checks whether it was used before, because reuse revokes the session.
    """

    @wraps(view)
    def wrapper(body: dict[str, str], *args: Any) -> Any:
        if not (body or cookie_token("refresh")):
            raise InvalidInput({"refresh": [REQUIRED]})
        verify_token_in("json" if body else "cookies", refresh=True, skip_revocation_check=True)
        return view(body, *args)

    documented = bp.doc(security=[{}, {"refresh_cookie": []}])(wrapper)
    return bp.errors(*ACCESS_TOKEN_PROBLEMS, TokenReused)(documented)


def earlier_tokens_traded(view: View) -> View:
    """Trade a refresh token of another platform in the body, while a takeover runs.

    Every other token, and without a takeover every token, is left to the view.
    """

    @wraps(view)
    def wrapper(body: dict[str, str], *args: Any) -> Any:
        token = body.get("refresh", "")
        pair = trade(token) if is_earlier_token(token) else None
        return view(body, *args) if pair is None else pair

    return wrapper


def same_origin_required(view: View) -> View:
    """Reject cross-origin logins in cookie mode (login CSRF)."""

    @wraps(view)
    def wrapper(body: dict[str, str]) -> Any:
        if body["transport"] == "cookie":
            check_origin()
        return view(body)

    return bp.errors(CsrfFailed)(wrapper)


def client_auth_required(view: View) -> View:
    """Require the credentials of a service by HTTP Basic (RFC 6749 §2.3.1, RFC 7617)."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        authorization = request.authorization
        name, secret = "", ""
        is_basic = authorization and authorization.type == "basic"
        if authorization and is_basic and "," not in request.headers["Authorization"]:
            name, secret = authorization.username or "", authorization.password or ""
        authenticate_client(name, secret)
        return view(*args, **kwargs)

    documented = bp.doc(security=[{"basic": []}])(wrapper)
    return bp.errors(InvalidClient, TooManyRequests)(documented)


def header_token() -> str:
    """Return the Bearer token of the ``Authorization`` header, or an empty string.

    A proxy joins two headers with a comma, and it is undecidable which one is meant: raises
    ``TokenInvalid``, also for characters that no token contains. The scheme alone raises
    ``TokenMissing``.
    """
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if "," in header:
        raise TokenInvalid
    if scheme != "Bearer":
        return ""
    if not token:
        raise TokenMissing
    if not re.fullmatch(r"[!-~]+", token):
        raise TokenInvalid
    return token


def cookie_token(token_type: str) -> str:
    """Return the token in the cookie of its type, or an empty string.

    A neighbouring host can add a second cookie of the same name ("cookie tossing"), and it is
    undecidable which one is meant: raises ``TokenInvalid``.
    """
    if "HTTP_COOKIE" not in request.environ:
        return ""
    name = current_app.config[f"JWT_{token_type.upper()}_COOKIE_NAME"]
    submitted = request.cookies.getlist(name)
    if len(submitted) > 1:
        raise TokenInvalid
    return submitted[0] if submitted else ""


def verify_token_in(location: str, **options: bool) -> None:
    """Verify the token found in ``location``, and the transport of its session.

    The session must have been created for that transport. A token that leaked out of a browser's
    cookies is useless elsewhere, and a token that an attacker plants in the cookies of a browser is
    not accepted from there.
    """
    verify_jwt_in_request(locations=[location], **options)
    transport = "cookie" if location == "cookies" else "body"
    if current_token_state().transport != transport:
        record_token_misuse(Event.TOKEN_MISPLACED, get_jwt())
        raise TokenInvalid
    if location == "cookies" and request.method not in ("GET", "HEAD"):
        check_csrf(get_jwt())


def current_jti() -> str:
    """Return the ``jti`` of the token that the request was authenticated with."""
    return str(get_jwt()["jti"])


def claims_from_request(refresh: str | None) -> list[dict[str, Any]]:
    """Return the claims of the tokens in the header and the body, to log out.

    The header may hold an access token, and the body a refresh token. One token that has not
    expired is enough, whatever the other is. Without either, the access cookie is used. Raises
    ``TokenMissing``, or the error of the first token.
    """
    claims: list[dict[str, Any]] = []
    errors: list[Exception] = []
    sources: dict[str, Callable[[], str | None]] = {
        "access": header_token,
        "refresh": lambda: refresh,
    }
    for token_type, read in sources.items():
        try:
            if token := read():
                claims.append(_claims_of(token, token_type))
        except (InvalidTokenError, TokenProblem) as error:
            errors.append(error)
    if errors and not claims:
        raise errors[0]
    return claims or _claims_from_cookie()


def _claims_of(token: str, token_type: str) -> dict[str, Any]:
    """Return the claims of a token, or those of a refresh token of another platform."""
    if token_type == "refresh" and is_earlier_token(token):
        return claims_to_log_out(token) or decode_token(token, token_type)
    return decode_token(token, token_type)


def _claims_from_cookie() -> list[dict[str, Any]]:
    """Return the claims of the access cookie, even if expired, and delete the cookies.

    An invalid token is only deleted: no script can do so, and it would be in the way of the next
    login.
    """
    token = cookie_token("access")
    if not token:
        raise TokenMissing
    claims = _try_decode(token, allow_expired=True)
    for each in claims:
        check_csrf(each)
    delete_token_cookies()
    return claims


def _try_decode(token: str, **options: bool) -> list[dict[str, Any]]:
    """Return the claims of an access token, or an empty list if it is invalid."""
    try:
        return [decode_token(token, "access", **options)]
    except InvalidTokenError:
        return []
