"""flask-smorest subclasses: strict request parsing, and documented problems."""

from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, NoReturn

import flask_smorest
from flask import Request
from marshmallow import Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser

from config import ProductionConfig
from pycoder.errors import (
    BadRequest,
    BodyTooLarge,
    CsrfFailed,
    DatabaseUnavailable,
    InternalError,
    InvalidInput,
    KeysUnreadable,
    LimitsUnavailable,
    MalformedJSON,
    Problem,
    TokenProblem,
    TokenReused,
    TooManyRequests,
    UnsupportedMediaType,
)
from pycoder.http.problems import PROBLEM_JSON

FORM = "application/x-www-form-urlencoded"

REQUEST_ID = {
    "description": "The id of the request. Include it when you report a problem.",
    "schema": {"type": "string"},
    "required": True,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "The scheme and the error (RFC 6750 §3)."},
    405: {"Allow": "The methods that this address accepts."},
    429: {"Retry-After": "Seconds to wait before the next attempt."},
    503: {"Retry-After": "Seconds to wait before the next attempt."},
}

ALWAYS = (
    BadRequest,
    InternalError,
    DatabaseUnavailable,
    KeysUnreadable,
)
WITH_BODY = (InvalidInput, MalformedJSON, BodyTooLarge, UnsupportedMediaType)

COOKIES = {
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": ProductionConfig.JWT_ACCESS_COOKIE_NAME,
        "description": "The access token in cookie mode. Without prefix outside production.",
    },
    "refresh_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": ProductionConfig.JWT_REFRESH_COOKIE_NAME,
        "description": "Only sent to /api/token/. Without prefix outside production.",
    },
}
CSRF = {
    "type": "apiKey",
    "in": "header",
    "name": "X-CSRF-TOKEN",
    "description": "The csrf_token of the login. Required with cookies, except for GET.",
}

View = Callable[..., Any]


class ProblemSchema(Schema):
    """An RFC 9457 problem document."""

    type = fields.String(required=True, metadata={"format": "uri"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "A sentence for the user."})
    code = fields.String(required=True, metadata={"description": "Stable. Clients decide by it."})
    request_id = fields.String(required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "The reasons by field, of a validation_error."},
    )


class StrictParser(FlaskParser):
    """Read bodies strictly, and raise ``InvalidInput`` for invalid ones."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the JSON body, or the form if the schema accepts one. No body is ``{}``."""
        if not req.get_data(cache=True, parse_form_data=False):
            return {}
        if getattr(schema, "accepts_forms", False) and req.mimetype == FORM:
            if any(len(values) > 1 for _, values in req.form.lists()):
                raise InvalidInput({"body": ["A parameter is repeated."]})  # RFC 6749 §3.2
            return req.form.to_dict()
        return req.get_json()

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any
    ) -> NoReturn:
        """Raise ``InvalidInput``. Errors of the whole body are listed under ``body``."""
        errors = next(iter(error.messages_dict.values()))  # of the location that was parsed
        raise InvalidInput({"body" if name == "_schema" else name: errors[name] for name in errors})


class Blueprint(flask_smorest.Blueprint):
    """A blueprint that documents which problems its views raise."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_problems_doc)

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view. Its name becomes the ``operationId``."""
        register = super().route(rule, **options)
        return lambda view: register(self.doc(operationId=view.__name__)(view))

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Parse arguments with one instance of the schema, not a new one a request."""
        return super().arguments(schema(), **options)  # type: ignore[no-any-return]

    @staticmethod
    def links(pointer: str) -> Callable[[View], View]:
        """Document the operations that accept the tokens of the response.

        ``pointer`` is the JSON pointer of the object with ``access`` and ``refresh``.
        """

        def decorate(view: View) -> View:
            view.__dict__.setdefault("_apidoc", {})["tokens_at"] = pointer
            return view

        return decorate

    @staticmethod
    def errors(*problems: type[Problem]) -> Callable[[View], View]:
        """Document the problems that a view raises, besides those of every view."""

        def decorate(view: View) -> View:
            documentation = view.__dict__.setdefault("_apidoc", {})
            documentation["problems"] = (*documentation.get("problems", ()), *problems)
            return view

        return decorate

    @staticmethod
    def _prepare_problems_doc(doc: Any, doc_info: Any, *, method: str, **kwargs: Any) -> Any:
        """Add the problems of an operation to its document, by status, with examples."""
        problems = (*doc_info.get("problems", ()), *ALWAYS)
        for requirement in doc_info.get("manual_doc", {}).get("security", []):
            if method != "get" and requirement.keys() & COOKIES.keys():
                requirement["csrf"] = []
                problems = (*problems, CsrfFailed)
        if TooManyRequests in problems:
            problems = (*problems, LimitsUnavailable)
        if "requestBody" in doc:
            problems = (*WITH_BODY, *problems)
            content = doc["requestBody"]["content"]
            if getattr(content["application/json"]["schema"], "accepts_forms", False):
                content[FORM] = content["application/json"]
        responses = doc.setdefault("responses", {})
        if "tokens_at" in doc_info:
            (success,) = doc_info["success_status_codes"]
            responses[success]["links"] = _links(doc_info["tokens_at"])
        for status in {problem.status for problem in problems}:
            same_status = [problem for problem in problems if problem.status == status]
            responses[status] = _response(status, same_status)
        for response in responses.values():
            response.setdefault("headers", {})["X-Request-ID"] = REQUEST_ID
        return doc


def _links(pointer: str) -> dict[str, Any]:
    """Return links to the operations that accept the tokens (OpenAPI "Link Object")."""
    access, refresh = (f"$response.body#{pointer}/{kind}" for kind in ("access", "refresh"))
    bodies = {
        "refresh": {"refresh": refresh},
        "verify": {"token": access},
        "revoke": {"token": refresh},
        "logout": {"refresh": refresh},
    }
    return {name: {"operationId": name, "requestBody": body} for name, body in bodies.items()}


def _response(status: int, problems: list[type[Problem]]) -> dict[str, Any]:
    """Return the response object of a status, with an example of each problem."""
    examples = {p.code: {"summary": p.detail, "value": _example(p)} for p in problems}
    headers = {
        name: {"description": text, "schema": {"type": "string"}, "required": True}
        for name, text in HEADERS.get(status, {}).items()
    }
    return {
        "description": ", ".join(examples),
        "headers": headers,
        "content": {PROBLEM_JSON: {"schema": ProblemSchema, "examples": examples}},
    }


def _example(problem: type[Problem]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": f"urn:pycoder:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": "b883f9df8041c7c6dc0b1f3f5a1c9d2e",
    }
    if problem is InvalidInput:
        example["errors"] = {"email": ["This is not a valid e-mail address."]}
    return example


class ProblemApi(flask_smorest.Api):
    """flask-smorest without its own error responses, which http/problems.py renders."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register no handlers: http/problems.py does."""

    def _register_responses(self) -> None:
        """Register no default error response."""

    def _register_pagination_header(self) -> None:
        """Register no pagination header: no response is paginated."""


api = ProblemApi(
    spec_kwargs={
        "title": "PyCoder",
        "version": version("pycoder"),
        "openapi_version": "3.1.0",
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "basic": {"type": "http", "scheme": "basic"},
                **COOKIES,
                "csrf": CSRF,
            }
        },
    }
)

ACCESS_TOKEN_PROBLEMS = tuple(
    problem for problem in TokenProblem.__subclasses__() if problem is not TokenReused
)
