"""The request: strict JSON bodies, a request id, and the address of the client."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from flask import Flask, Request, current_app
from flask.sessions import SessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property

from pycoder.errors import BadRequest, MalformedJSON, UnsupportedMediaType
from pycoder.http.middleware import T


class ApiRequest(Request):
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


class DisabledSessionInterface(SessionInterface):
    """No cookie session: whoever uses ``flask.session`` is told that there is none."""

    def open_session(self, app: Flask, request: Request) -> None:
        return None


class Application(Flask):
    """Flask without what is prepared for every request and never used here."""

    request_class = ApiRequest
    session_interface = DisabledSessionInterface()

    def ensure_sync(self, func: Callable[..., T]) -> Callable[..., T]:
        """Return the view as it is: none is asynchronous."""
        return func
