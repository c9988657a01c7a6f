"""The outermost WSGI layer: canonical paths, request ids, security headers."""

import random
import re
from typing import Any

from flask import Flask

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")

SECURITY_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]
HSTS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


class Middleware:
    """Canonicalize the request, and add headers to the response.

    An API path is routed with and without its trailing slash, and never by a redirect, which breaks
    CORS preflights and POST bodies. (Werkzeug's ``strict_slashes=False`` responds 404 to a wrong
    method of a path without its slash.)
    """

    def __init__(self, wsgi_app: Any, security_headers: list[tuple[str, str]]):
        self.wsgi_app, self.security_headers = wsgi_app, security_headers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Call the application. Headers that the response has already are kept."""
        path = environ["PATH_INFO"].removesuffix("/")
        in_api = path.startswith("/api/")
        is_api = in_api and "." not in path
        environ["PATH_INFO"] = f"{path}/" if is_api or path.endswith("/") else path or "/"
        if "HTTP_AUTHORIZATION" in environ:
            environ["HTTP_AUTHORIZATION"] = canonical_credentials(environ["HTTP_AUTHORIZATION"])
        submitted = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = submitted if REQUEST_ID.fullmatch(submitted) else new_request_id()
        environ["pycoder.request_id"] = request_id

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            present = {name for name, _ in headers}
            headers += [header for header in self.security_headers if header[0] not in present]
            headers.append(("X-Request-ID", request_id))
            if in_api:
                headers.append(("Vary", "Origin"))
            return start_response(status, headers, *exc_info)

        return self.wsgi_app(environ, start)


def canonical_credentials(header: str) -> str:
    """Spell the scheme ``Bearer`` in the only way that Flask-JWT-Extended accepts.

    The scheme is case-insensitive, and white space is a space or a tab (RFC 9110 §5.6.3, §11.1).
    """
    scheme, *credentials = re.split("[ \t]+", header.strip(" \t"), maxsplit=1)
    return " ".join(["Bearer", *credentials]) if scheme.lower() == "bearer" else header


def new_request_id() -> str:
    """Return 128 random bits. They are not secret, so the faster generator suffices."""
    return f"{random.getrandbits(128):032x}"


def init_app(app: Flask) -> None:
    """Wrap the WSGI application."""
    security_headers = [*SECURITY_HEADERS, HSTS] if app.config["HSTS"] else SECURITY_HEADERS
    app.wsgi_app = Middleware(app.wsgi_app, security_headers)  # type: ignore[method-assign]
    app.url_map.merge_slashes = False  # see http/request.py:reject_double_slashes
