"""The request: strict JSON bodies, a request id, and its client."""

import re
from typing import Any

from flask import Flask, Request, Response, current_app, request
from flask.sessions import SessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property

from pycoder.client_info import DEVICE_COOKIE, NO_CLIENT, USER_AGENT_LENGTH, ClientInfo, bind_client
from pycoder.errors import BadRequest, MalformedJSON, NotFound, UnsupportedMediaType
from pycoder.http.proxies import client_address
from pycoder.strict_json import StrictJSONProvider


class ApiRequest(Request):
    """Flask's request, with a request id, and with JSON that is parsed strictly."""

    @property
    def id(self) -> str:
        """The request id, which the response carries as ``X-Request-ID``."""
        return str(self.environ["pycoder.request_id"])

    @property
    def client_ip(self) -> str | None:
        """The address of the client, which may be behind proxies."""
        return client_address(self.remote_addr, self.headers.get("X-Forwarded-For", ""))

    @cached_property
    def client_info(self) -> ClientInfo:
        """The client. Its texts are bounded and printable."""
        agent = self.headers.get("User-Agent", "")
        if not agent.isprintable():
            agent = "".join(character for character in agent if character.isprintable())
        return ClientInfo(
            ip=self.client_ip,
            user_agent=agent[:USER_AGENT_LENGTH] or None,
            request_id=self.id,
            device=self.cookies.get(DEVICE_COOKIE) if "HTTP_COOKIE" in self.environ else None,
        )

    @property
    def is_json(self) -> bool:
        """Whether the body is declared as JSON in UTF-8, and is not compressed."""
        charset = re.sub(r"[^a-z0-9]", "", self.mimetype_params.get("charset", "utf-8").lower())
        return super().is_json and charset == "utf8" and not self.content_encoding

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body. Raises ``BadRequest`` for malformed chunks, and 413.

        Werkzeug truncates a chunked body at the limit, and raises 413 only at the next read. Each
        server has an exception of its own for malformed chunks.
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
        """Raise ``MalformedJSON``, or ``UnsupportedMediaType`` for another type."""
        raise (UnsupportedMediaType if e is None else MalformedJSON) from e


class DisabledSessionInterface(SessionInterface):
    """Disable ``flask.session``: using it is an error."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Return no session, which makes Flask reject its use."""


def reject_double_slashes() -> None:
    """Respond 404 to a path with double slashes, which could bypass rules of a proxy."""
    if "//" in request.environ["PATH_INFO"]:
        raise NotFound


def bind_request_client() -> None:
    """Bind the client of the request, for everything that the request causes."""
    bind_client(lambda: request.client_info)  # type: ignore[attr-defined]


def unbind_client(error: BaseException | None) -> None:
    """Forget the client once the request is over."""
    bind_client(lambda: NO_CLIENT)


def remove_content_type(response: Response) -> Response:
    """Remove ``Content-Type`` from a response without a body."""
    if response.status_code == 204:
        response.headers.pop("Content-Type", None)
    return response


def init_app(app: Flask) -> None:
    """Make the application use these requests."""
    app.request_class = ApiRequest
    app.session_interface = DisabledSessionInterface()
    app.json = StrictJSONProvider(app)
    app.before_request(reject_double_slashes)
    app.before_request(bind_request_client)
    app.after_request(remove_content_type)
    app.teardown_request(unbind_client)
