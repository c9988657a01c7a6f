"""Cross-origin requests: which origins may use the API."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import current_app

ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[\w.-]+)(?::([0-9]{0,5}))?", re.IGNORECASE | re.ASCII
)
DEFAULT_PORTS = {"http": 80, "https": 443}
DOCUMENTS = r"/\.well-known/(jwks\.json|status/|oauth-authorization-server|openid-configuration)"
FOR_EVERY_ORIGIN = {
    "origins": "*",
    "methods": ["GET", "HEAD"],
    "allow_headers": "*",
    "expose_headers": [],
    "supports_credentials": False,
    "send_wildcard": True,
    "always_send": True,  # caches keep one response for all origins
}


def cors_options(origins: Sequence[str | re.Pattern[str]]) -> dict[str, Any]:
    """Return the options of Flask-CORS.

    The listed origins may use the API with credentials. Every origin may read the documents for
    verifiers, without credentials.
    """
    return {
        "resources": {r"/api/.*": {}, DOCUMENTS: FOR_EVERY_ORIGIN},
        "origins": [_pattern(origin) for origin in origins],
        "supports_credentials": True,
        "allow_headers": "*",  # those that are asked for; browsers and SDKs add headers of tracing
        "expose_headers": ["Retry-After", "WWW-Authenticate", "X-Request-ID"],
        "max_age": 600,
        "always_send": False,  # no header for a request without an Origin
        "vary_header": False,  # see http/middleware.py
    }


def _pattern(origin: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern of exactly one origin.

    Flask-CORS would read the text of an IPv6 host, ``[::1]``, as a pattern.
    """
    if isinstance(origin, re.Pattern):
        return origin
    return re.compile(re.escape(canonical_origin(origin)) + r"\Z")


def is_trusted_origin(origin: str) -> bool:
    """Return whether an origin is that of ``PUBLIC_URL`` or in ``CORS_ORIGINS``."""
    trusted = [current_app.config["PUBLIC_URL"], *current_app.config["CORS_ORIGINS"]]
    return any(_pattern(each).fullmatch(canonical_origin(origin)) for each in trusted)


def is_origin_within(origin: str, domain: str) -> bool:
    """Return whether an origin is exactly one of ours, and its host is in a domain.

    Ours are those of ``PUBLIC_URL``, ``FRONTEND_URL`` and ``CORS_ORIGINS``.
    """
    settings = current_app.config
    pages = (urlsplit(settings[name]) for name in ("PUBLIC_URL", "FRONTEND_URL"))
    ours = [f"{page.scheme}://{page.netloc}" for page in pages]
    match = ORIGIN.fullmatch(origin)
    host = match[2] if match else ""
    is_ours = any(_pattern(each).fullmatch(origin) for each in (*ours, *settings["CORS_ORIGINS"]))
    return is_ours and (host == domain or host.endswith(f".{domain}"))


def canonical_origin(origin: str) -> str:
    """Return an origin as a browser sends it (RFC 6454 §6.2).

    Scheme and host are in lower case, and the default port is left out. A host with a final dot is
    another host, as it is for browsers. Any other text is returned as it is.
    """
    match = ORIGIN.fullmatch(origin)
    if match is None:
        return origin
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    is_default = not port or int(port) == DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{int(port)}"
