"""CSRF protection of requests that authenticate by cookie."""

import hmac
from typing import Any

from flask import current_app, request

from pycoder.audit import Event
from pycoder.errors import CsrfFailed
from pycoder.http.cors import canonical_origin, is_trusted_origin
from pycoder.keys.key import base64url_encode
from pycoder.secret_key import derive_key
from pycoder.tokens.state import record_token_misuse

FOREIGN_ORIGIN = (
    "This page is not among those that may use this service with cookies."
    " Ask the operator to list its origin in CORS_ORIGINS, or to set PUBLIC_URL to it."
)


def csrf_token(sid: str) -> str:
    """Return the CSRF token of a session: a MAC of its id under a key of its own."""
    key = derive_key(current_app.config["SECRET_KEY"], "csrf token")
    return base64url_encode(hmac.digest(key, sid.encode(), "sha256"))


def check_csrf(claims: dict[str, Any]) -> None:
    """Check the origin and the CSRF token of a cookie session's request.

    Raises ``CsrfFailed``, and records it.
    """
    submitted = request.headers.get("X-CSRF-TOKEN", "")
    try:
        check_origin()
        if not hmac.compare_digest(submitted.encode(), csrf_token(claims["sid"]).encode()):
            raise CsrfFailed
    except CsrfFailed:
        record_token_misuse(Event.CSRF_REFUSED, claims)
        raise


def check_origin() -> None:
    """Reject a request that a browser sends for a page of another origin.

    ``Origin`` must be that of the request, that of ``PUBLIC_URL``, or listed in ``CORS_ORIGINS``;
    without it, ``Sec-Fetch-Site`` decides (OWASP CSRF Prevention Cheat Sheet). Raises
    ``CsrfFailed``.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin and is_trusted_origin(origin):
        return
    scheme = "https" if current_app.config["COOKIE_SECURE"] else "http"
    is_own = origin is None or canonical_origin(origin) == canonical_origin(
        f"{scheme}://{request.host}"
    )
    if not is_own or site not in (None, "same-origin", "none"):
        raise CsrfFailed(FOREIGN_ORIGIN)
