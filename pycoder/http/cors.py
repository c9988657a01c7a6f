"""Cross-origin requests: which origins may use the API."""

import re
from collections.abc import Sequence
from typing import Any

from flask import current_app

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
        "origins": list(origins),
        "supports_credentials": True,
        "allow_headers": [
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "X-CSRF-TOKEN",
            "X-Request-ID",
        ],
        "expose_headers": ["Retry-After", "WWW-Authenticate", "X-Request-ID"],
        "max_age": 600,
        "always_send": False,  # no header for a request without an Origin
    }


def is_allowed_origin(origin: str) -> bool:
    """Return whether ``CORS_ORIGINS`` lists an origin, or a pattern that matches it."""
    return any(
        allowed.fullmatch(origin) if isinstance(allowed, re.Pattern) else allowed == origin
        for allowed in current_app.config["CORS_ORIGINS"]
    )
