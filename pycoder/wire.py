"""What crosses the wire: strict JSON in, a request id, and the headers of every answer."""

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from flask import Flask, Request, Response, current_app, request
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface
from flask_cors.core import get_cors_origins, serialize_options
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property

from pycoder.errors import BadRequest, MalformedJSON, NotFound, UnsupportedMediaType

T = TypeVar("T")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")

HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]


def strict_loads(text: str | bytes) -> Any:
    """Parse JSON, and refuse what two parsers could read differently.

    That is: anything but UTF-8, a byte order mark, a name twice in one object, NaN, infinities,
    numbers that overflow, lone surrogates, and nesting deeper than the parser's stack
    (RFC 8259 §4, §6, §8; RFC 8725 §2.4). Raises ``ValueError``.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_object_without_twins,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if "\\u" in text:  # the only way in for a lone surrogate; encoding finds it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


class StrictJSON(DefaultJSONProvider):
    """Flask's JSON, strict in what it takes."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return strict_loads(s)


class WireRequest(Request):
    """Flask's request, with an id, and with JSON that is read strictly or not at all."""

    @property
    def id(self) -> str:
        """The id that the answer carries as X-Request-ID."""
        return str(self.environ["pycoder.request_id"])

    @cached_property
    def client_ip(self) -> str | None:
        """The peer's address, or the one that ``TRUSTED_PROXIES`` proxies before us have seen.

        Each proxy appends its own peer, so only that many entries from the right are believed,
        and none from a peer on the open internet: that one came around the proxies.
        """
        trusted = current_app.config["TRUSTED_PROXIES"]
        peer = self.remote_addr
        if not trusted:
            return peer
        seen = [part.strip() for part in self.headers.get("X-Forwarded-For", "").split(",")]
        try:
            inside = not peer or not ip_address(peer).is_global  # "" is a Unix socket
            if len(seen) >= trusted and inside:
                return str(ip_address(seen[-trusted].partition("%")[0]))  # no IPv6 zone
        except ValueError:
            pass  # an entry that is no address
        return peer

    @property
    def is_json(self) -> bool:
        """Whether the body is declared as JSON in UTF-8, and not packed."""
        charset = self.mimetype_params.get("charset", "utf-8").lower()
        return super().is_json and charset == "utf-8" and not self.content_encoding

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body; of one without a length, ask for more than may be there.

        Werkzeug cuts a chunked body off at the limit, and only the next read raises its 413.
        Each server has an exception of its own for chunks that are none.
        """
        try:
            data = super().get_data(*args, **kwargs)
        except HTTPException:
            raise
        except Exception as error:
            raise BadRequest from error
        if self.content_length is None and len(data) >= current_app.config["MAX_CONTENT_LENGTH"]:
            self.stream.read(1)
        return data

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        raise (UnsupportedMediaType if e is None else MalformedJSON) from e


class NoSession(SessionInterface):
    """No cookie session: whoever uses ``flask.session`` is told that there is none."""

    def open_session(self, app: Flask, request: Request) -> None:
        return None


class Application(Flask):
    """Flask without what is prepared for every request and never used here."""

    request_class = WireRequest
    session_interface = NoSession()

    def ensure_sync(self, func: Callable[..., T]) -> Callable[..., T]:
        """Return the view as it is: none is asynchronous."""
        return func


def new_request_id() -> str:
    """Return 128 bits that need not be secret: asking the kernel would let other threads in."""
    return f"{random.getrandbits(128):032x}"


class Wire:
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
        request_id = given if SANE_REQUEST_ID.fullmatch(given) else new_request_id()
        environ["pycoder.request_id"] = request_id

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            own = {name for name, _ in headers}
            headers += [header for header in HEADERS if header[0] not in own]
            headers.append(("X-Request-ID", request_id))
            if slashed:
                headers.append(("Vary", "Origin"))
            return start_response(status, headers, *exc_info)

        return self.wsgi_app(environ, start)


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


def allows(origin: str) -> bool:
    """Tell whether ``CORS_ORIGINS`` lists an origin, in Flask-CORS's own reading."""
    options = serialize_options(cors_options(current_app.config["CORS_ORIGINS"]))
    return bool(get_cors_origins(options, origin))


def init_app(app: Flask) -> None:
    """Make the application read and answer by the rules of this module."""
    app.json = StrictJSON(app)
    app.wsgi_app = Wire(app.wsgi_app)  # type: ignore[method-assign]
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
