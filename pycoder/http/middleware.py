"""The outermost WSGI layer: canonical paths, request ids, security headers."""

import random
import re
from typing import Any, TypeVar

from flask import Flask, Response, request

from pycoder.errors import NotFound
from pycoder.strict_json import StrictJSONProvider

T = TypeVar("T")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")

SECURITY_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]


def new_request_id() -> str:
    """Return 128 bits that need not be secret: asking the kernel would let other threads in."""
    return f"{random.getrandbits(128):032x}"


class Middleware:
    """The outermost layer: one spelling of the path, a request id, headers on every answer.

    A path is routed with and without its trailing slash alike, and never by a redirect, which
    breaks CORS preflights and POST bodies. (Werkzeug's ``strict_slashes=False`` answers 404 to a
    wrong method of a path without its slash.)
    """

    def __init__(self, wsgi_app: Any):
        self.wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Hand the request on; an answer's own headers have precedence over ours."""
        bare = environ["PATH_INFO"].removesuffix("/")
        slashed = bare.startswith("/api/") and "." not in bare
        environ["PATH_INFO"] = f"{bare}/" if slashed or bare.endswith("/") else bare or "/"
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else new_request_id()
        environ["pycoder.request_id"] = request_id

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            own = {name for name, _ in headers}
            headers += [header for header in SECURITY_HEADERS if header[0] not in own]
            headers.append(("X-Request-ID", request_id))
            if slashed:
                headers.append(("Vary", "Origin"))
            return start_response(status, headers, *exc_info)

        return self.wsgi_app(environ, start)


def init_app(app: Flask) -> None:
    """Make the application read and answer by the rules of this module."""
    app.json = StrictJSONProvider(app)
    app.wsgi_app = Middleware(app.wsgi_app)  # type: ignore[method-assign]
    app.url_map.merge_slashes = False

    @app.before_request
    def one_path() -> None:
        """Refuse double slashes: Werkzeug drops them, and so gets around the rules of a proxy."""
        if "//" in request.environ["PATH_INFO"]:
            raise NotFound

    @app.after_request
    def describe_nothing(response: Response) -> Response:
        """Leave an answer without a body without a type."""
        if response.status_code == 204:
            response.headers.pop("Content-Type", None)
        return response
