"""View decorators that authenticate API requests."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import current_app, request
from flask_jwt_extended import get_jwt, verify_jwt_in_request
from jwt import InvalidTokenError

from pycoder.audit import Event
from pycoder.auth import bp
from pycoder.auth.cookies import set_cookies
from pycoder.auth.csrf import check_csrf, check_origin
from pycoder.client_info import ClientInfo
from pycoder.errors import (
    CsrfFailed,
    InvalidClient,
    InvalidInput,
    TokenInvalid,
    TokenMissing,
    TokenReused,
    TooManyRequests,
)
from pycoder.http.openapi import ACCESS_TOKEN_PROBLEMS
from pycoder.sessions import lifecycle
from pycoder.tokens import introspection
from pycoder.tokens.jwt import current_token_state, decode_token

View = Callable[..., Any]


def header_token() -> str:
    """Return the credential of the Authorization header, written as Flask-JWT-Extended wants it.

    The scheme's case does not matter (RFC 9110 §11.1). A list of credentials is what a proxy makes
    of two headers, and nobody can say which one was meant: ``TokenInvalid``.
    """
    header = request.headers.get("Authorization", "")
    if "," in header:
        raise TokenInvalid
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return ""
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token.strip()}"
    return token.strip()


def cookie_token(token_type: str) -> str:
    """Return the token that came in the cookie of its type.

    Two cookies of one name are what a neighbouring host can bring about ("cookie tossing"), and
    nobody can say which one is ours: ``TokenInvalid``.
    """
    if "HTTP_COOKIE" not in request.environ:
        return ""
    sent = request.cookies.getlist(current_app.config[f"JWT_{token_type.upper()}_COOKIE_NAME"])
    if len(sent) > 1:
        raise TokenInvalid
    return sent[0] if sent else ""


def access_token_required(view: View) -> View:
    """Let in who has a good access token, in the header or in the cookie.

    In both, nobody can say which one was meant; a cookie that has had its day says nothing.
    """

    @wraps(view)
    def enter(*args: Any, **kwargs: Any) -> Any:
        given, kept = header_token(), cookie_token("access")
        if given and kept and _try_decode(kept):
            raise TokenInvalid
        verify_token_in("headers" if given or not kept else "cookies")
        return view(*args, **kwargs)

    described = bp.doc(security=[{"bearer": []}, {"cookie": []}])(enter)
    return bp.refuses(*ACCESS_TOKEN_PROBLEMS)(described)


def refresh_token_required(view: View) -> View:
    """Let in who has a refresh token of ours that has not expired, in the body or in the cookie.

    Whether it was used before is for the room to judge, since a second use has consequences.
    """

    @wraps(view)
    def enter(body: dict[str, str], *args: Any) -> Any:
        if not (body or cookie_token("refresh")):
            raise InvalidInput({"refresh": ["Missing data for required field."]})
        verify_token_in("json" if body else "cookies", refresh=True, skip_revocation_check=True)
        return view(body, *args)

    described = bp.doc(security=[{}, {"refresh_cookie": []}])(enter)
    return bp.refuses(*ACCESS_TOKEN_PROBLEMS, TokenReused)(described)


def verify_token_in(location: str, **options: bool) -> None:
    """Let in who has a token there, if that is where the tokens of its session belong.

    What was read out of a browser's cookies is of no use elsewhere, and no page can be made to
    send a token that somebody has put into its cookies.
    """
    verify_jwt_in_request(locations=[location], **options)
    session = current_token_state()
    if session.transport != ("cookie" if location == "cookies" else "body"):
        lifecycle.record_token_misuse(
            Event.TOKEN_MISPLACED, get_jwt(), ClientInfo.from_request(request)
        )
        raise TokenInvalid
    if location == "cookies" and request.method not in ("GET", "HEAD"):
        check_csrf(get_jwt())


def same_origin_required(view: View) -> View:
    """Let no foreign page sign a browser in by cookies, as somebody else than its user."""

    @wraps(view)
    def enter(body: dict[str, str]) -> Any:
        if body["transport"] == "cookie":
            check_origin()
        return view(body)

    return bp.refuses(CsrfFailed)(enter)


def current_refresh_jti() -> str:
    """Return the id of the token that ``with_refresh_token`` let in."""
    return str(get_jwt()["jti"])


def claims_from_request(refresh: str | None) -> list[dict[str, Any]]:
    """Return the claims of the access token in the header, the refresh token in the body, or both.

    One that has not expired is enough; if neither was sent, the cookie is looked at. Raises
    ``TokenMissing``, else what is wrong with the first.
    """
    sent = [(header_token(), "access"), (refresh, "refresh")]
    if not any(token for token, _ in sent):
        return _claims_from_cookie()
    claims, failures = [], []
    for token, token_type in sent:
        try:
            if token:
                claims.append(decode_token(token, token_type))
        except InvalidTokenError as failure:
            failures.append(failure)
    if not claims:
        raise failures[0]
    return claims


def _claims_from_cookie() -> list[dict[str, Any]]:
    """Return the claims of the access cookie, also of an expired one; the answer deletes it.

    One that is no token of ours is only deleted: no script can, and it must be in nobody's way.
    """
    kept = cookie_token("access")
    if not kept:
        raise TokenMissing
    claims = _try_decode(kept, allow_expired=True)
    for token in claims:
        check_csrf(token)
    set_cookies()
    return claims


def _try_decode(token: str, **options: bool) -> list[dict[str, Any]]:
    """Return the claims of an access token, or nothing if it is none of ours."""
    try:
        return [decode_token(token, "access", **options)]
    except InvalidTokenError:
        return []


def client_auth_required(view: View) -> View:
    """Let in a service, by HTTP Basic (RFC 7617); a list of credentials is none."""

    @wraps(view)
    def enter(*args: Any, **kwargs: Any) -> Any:
        given = request.authorization
        name, secret = "", ""
        if given and given.type == "basic" and "," not in request.headers["Authorization"]:
            name, secret = given.username or "", given.password or ""
        introspection.authenticate_client(name, secret, client=ClientInfo.from_request(request))
        return view(*args, **kwargs)

    return bp.refuses(InvalidClient, TooManyRequests)(bp.doc(security=[{"basic": []}])(enter))
