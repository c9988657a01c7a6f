"""Cross-origin requests: which origins may use the API."""

import re
from collections.abc import Sequence
from typing import Any

from flask import current_app


def cors_options(origins: Sequence[str | re.Pattern[str]]) -> dict[str, Any]:
    """Return the options of Flask-CORS.

    The listed origins may use the API with credentials.
    """
    return {
        "resources": r"/api/.*",
        "origins": [_as_pattern(origin) for origin in origins],
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


def _as_pattern(origin: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern, because Flask-CORS takes the text of an IPv6 origin for one."""
    return origin if isinstance(origin, re.Pattern) else re.compile(re.escape(origin) + r"\Z")


def is_allowed_origin(origin: str) -> bool:
    """Return whether ``CORS_ORIGINS`` lists an origin, or a pattern that matches it."""
    return any(
        allowed.fullmatch(origin) if isinstance(allowed, re.Pattern) else allowed == origin
        for allowed in current_app.config["CORS_ORIGINS"]
    )
