"""Who may come in, and who it is."""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, current_app, request
from flask_jwt_extended import get_jwt, verify_jwt_in_request
from jwt import InvalidTokenError

from pycoder import attempts, tokens, wire
from pycoder.audit import Client, Event
from pycoder.auth import bp
from pycoder.auth.delivery import DEVICE_COOKIE, csrf_token, set_cookies
from pycoder.errors import CsrfFailed, InvalidInput, TokenInvalid, TokenMissing, TokenReused
from pycoder.models import USER_AGENT_LENGTH
from pycoder.openapi import SIGNED_IN_PROBLEMS

View = Callable[..., Any]


def bearer() -> str:
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


def cookie(token_type: str) -> str:
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


def signed_in(view: View) -> View:
    """Let in who has a good access token, in the header or in the cookie.

    In both, nobody can say which one was meant; a cookie that has had its day says nothing.
    """

    @wraps(view)
    def enter(*args: Any, **kwargs: Any) -> Any:
        given, kept = bearer(), cookie("access")
        if given and kept and _opened(kept):
            raise TokenInvalid
        _let_in("headers" if given or not kept else "cookies")
        return view(*args, **kwargs)

    described = bp.doc(security=[{"bearer": []}, {"cookie": []}])(enter)
    return bp.refuses(*SIGNED_IN_PROBLEMS)(described)


def with_refresh_token(view: View) -> View:
    """Let in who has a refresh token of ours that has not expired, in the body or in the cookie.

    Whether it was used before is for the room to judge, since a second use has consequences.
    """

    @wraps(view)
    def enter(body: dict[str, str], *args: Any) -> Any:
        if not (body or cookie("refresh")):
            raise InvalidInput({"refresh": ["Missing data for required field."]})
        _let_in("json" if body else "cookies", refresh=True, skip_revocation_check=True)
        return view(body, *args)

    described = bp.doc(security=[{}, {"refresh_cookie": []}])(enter)
    return bp.refuses(*SIGNED_IN_PROBLEMS, TokenReused)(described)


def _let_in(location: str, **options: bool) -> None:
    """Let in who has a token there, if that is where the tokens of its session belong.

    What was read out of a browser's cookies is of no use elsewhere, and no page can be made to
    send a token that somebody has put into its cookies.
    """
    verify_jwt_in_request(locations=[location], **options)
    session = tokens.current_session()
    if session.transport != ("cookie" if location == "cookies" else "body"):
        attempts.suspect(Event.TOKEN_MISPLACED, get_jwt(), client_of(request))
        raise TokenInvalid
    if location == "cookies" and request.method not in ("GET", "HEAD"):
        _refuse_forged(get_jwt())


def _refuse_forged(claims: dict[str, Any]) -> None:
    """Refuse a call that none of our pages has made for this session; raises ``CsrfFailed``."""
    sent = request.headers.get("X-CSRF-TOKEN", "")
    try:
        refuse_foreign()
        if not hmac.compare_digest(sent.encode(), csrf_token(claims["sid"]).encode()):
            raise CsrfFailed
    except CsrfFailed:
        attempts.suspect(Event.CSRF_REFUSED, claims, client_of(request))
        raise


def refuse_foreign() -> None:
    """Refuse what a page of an origin that is not listed has its browser send."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin and wire.allows(origin):
        return
    scheme = "https" if current_app.config["COOKIE_SECURE"] else "http"
    own = f"{scheme}://{request.host}"
    if origin not in (None, own) or site not in (None, "same-origin", "none"):
        raise CsrfFailed


def signs_in(view: View) -> View:
    """Let no foreign page sign a browser in by cookies, as somebody else than its user."""

    @wraps(view)
    def enter(body: dict[str, str]) -> Any:
        if body["transport"] == "cookie":
            refuse_foreign()
        return view(body)

    return bp.refuses(CsrfFailed)(enter)


def refresh_jti() -> str:
    """Return the id of the token that ``with_refresh_token`` let in."""
    return str(get_jwt()["jti"])


def claims_sent(refresh: str | None) -> list[dict[str, Any]]:
    """Return the claims of the access token in the header, the refresh token in the body, or both.

    One that has not expired is enough; if neither was sent, the cookie is looked at. Raises
    ``TokenMissing``, else what is wrong with the first.
    """
    sent = [(bearer(), "access"), (refresh, "refresh")]
    if not any(token for token, _ in sent):
        return _claims_in_cookie()
    claims, failures = [], []
    for token, token_type in sent:
        try:
            if token:
                claims.append(tokens.decode(token, token_type))
        except InvalidTokenError as failure:
            failures.append(failure)
    if not claims:
        raise failures[0]
    return claims


def _claims_in_cookie() -> list[dict[str, Any]]:
    """Return the claims of the access cookie, also of an expired one; the answer deletes it.

    One that is no token of ours is only deleted: no script can, and it must be in nobody's way.
    """
    kept = cookie("access")
    if not kept:
        raise TokenMissing
    claims = _opened(kept, allow_expired=True)
    for token in claims:
        _refuse_forged(token)
    set_cookies()
    return claims


def _opened(token: str, **options: bool) -> list[dict[str, Any]]:
    """Return the claims of an access token, or nothing if it is none of ours."""
    try:
        return [tokens.decode(token, "access", **options)]
    except InvalidTokenError:
        return []


def client_of(request: Request) -> Client:
    """Describe who asks, bounded and printable, for the trail and the list of devices."""
    agent = request.headers.get("User-Agent", "")
    if not agent.isprintable():
        agent = "".join(c for c in agent if c.isprintable())
    return Client(
        ip=request.client_ip,  # type: ignore[attr-defined]
        user_agent=agent[:USER_AGENT_LENGTH] or None,
        request_id=request.id,  # type: ignore[attr-defined]
        device=request.cookies.get(DEVICE_COOKIE),
    )
