"""Cross-origin requests: which origins may use the API."""

from collections.abc import Sequence
from typing import Any

from flask import current_app
from flask_cors.core import get_cors_origins, serialize_options


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """Let the listed origins use the API with credentials; ``*`` is never one of them."""
    return {
        "resources": r"/api/.*",
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
        "always_send": False,  # nothing to say to who does not ask
    }


def is_allowed_origin(origin: str) -> bool:
    """Tell whether ``CORS_ORIGINS`` lists an origin, in Flask-CORS's own reading."""
    options = serialize_options(cors_options(current_app.config["CORS_ORIGINS"]))
    return bool(get_cors_origins(options, origin))
