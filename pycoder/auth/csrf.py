"""CSRF protection of requests that authenticate by cookie."""

import base64
import hmac
from typing import Any

from flask import current_app, request

from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.errors import CsrfFailed
from pycoder.http.cors import is_allowed_origin
from pycoder.keys.key import derive_key
from pycoder.sessions import lifecycle


def csrf_token(sid: str) -> str:
    """Return what a page has to send with the cookies of a session: a MAC of the session's id."""
    key = derive_key(current_app.config["SECRET_KEY"], "csrf token")
    mac = hmac.digest(key, sid.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def check_csrf(claims: dict[str, Any]) -> None:
    """Refuse a call that none of our pages has made for this session; raises ``CsrfFailed``."""
    sent = request.headers.get("X-CSRF-TOKEN", "")
    try:
        check_origin()
        if not hmac.compare_digest(sent.encode(), csrf_token(claims["sid"]).encode()):
            raise CsrfFailed
    except CsrfFailed:
        lifecycle.record_token_misuse(Event.CSRF_REFUSED, claims, ClientInfo.from_request(request))
        raise


def check_origin() -> None:
    """Refuse what a page of an origin that is not listed has its browser send."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin and is_allowed_origin(origin):
        return
    scheme = "https" if current_app.config["COOKIE_SECURE"] else "http"
    own = f"{scheme}://{request.host}"
    if origin not in (None, own) or site not in (None, "same-origin", "none"):
        raise CsrfFailed
