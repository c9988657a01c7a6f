"""flask-smorest as PyCoder uses it: strict bodies in, and every problem in the document."""

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
    "description": "Name it when you report a problem.",
    "schema": {"type": "string"},
    "required": True,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "The scheme, and the error (RFC 6750 §3)."},
    405: {"Allow": "The methods that this address takes."},
    429: {"Retry-After": "Seconds to wait before the next try."},
    503: {"Retry-After": "Seconds to wait before the next try."},
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
        "description": "Of a session by cookie. Outside production, without its prefix.",
    },
    "refresh_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": ProductionConfig.JWT_REFRESH_COOKIE_NAME,
        "description": "Only sent to /api/token/. Outside production, without its prefix.",
    },
}
CSRF = {
    "type": "apiKey",
    "in": "header",
    "name": "X-CSRF-TOKEN",
    "description": "The csrf_token of the sign-in, with every call by cookie but GET.",
}

View = Callable[..., Any]


class ProblemSchema(Schema):
    """An RFC 9457 problem document."""

    type = fields.String(required=True, metadata={"format": "uri"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "A sentence to show as it is."})
    code = fields.String(required=True, metadata={"description": "Stable; decide by this one."})
    request_id = fields.String(required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "Bad input: the reasons, field by field."},
    )


class StrictParser(FlaskParser):
    """Reads bodies through ``WireRequest``, and answers bad input as a Problem."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the JSON body, or the form where the schema takes one; no body is ``{}``."""
        if not req.get_data(cache=True, parse_form_data=False):
            return {}
        if getattr(schema, "takes_forms", False) and req.mimetype == FORM:
            if any(len(values) > 1 for _, values in req.form.lists()):
                raise InvalidInput({"body": ["A parameter stands twice."]})  # RFC 6749 §3.2
            return req.form.to_dict()
        return req.get_json()

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any
    ) -> NoReturn:
        found = next(iter(error.messages_dict.values()))
        raise InvalidInput({"body" if name == "_schema" else name: found[name] for name in found})


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose views say which problems they raise."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_problems_doc)

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view; its name is the operation's name in the document."""
        register = super().route(rule, **options)
        return lambda view: register(self.doc(operationId=view.__name__)(view))

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Take arguments by one instance of the schema, not by a new one for each request."""
        return super().arguments(schema(), **options)  # type: ignore[no-any-return]

    @staticmethod
    def links(at: str) -> Callable[[View], View]:
        """Say where in the answer the tokens are: the document links them to what takes them."""

        def decorate(view: View) -> View:
            view.__dict__.setdefault("_apidoc", {})["tokens_at"] = at
            return view

        return decorate

    @staticmethod
    def errors(*problems: type[Problem]) -> Callable[[View], View]:
        """Name the problems of a view; those that every view has go without saying."""

        def decorate(view: View) -> View:
            documentation = view.__dict__.setdefault("_apidoc", {})
            documentation["problems"] = (*documentation.get("problems", ()), *problems)
            return view

        return decorate

    @staticmethod
    def _prepare_problems_doc(doc: Any, doc_info: Any, *, method: str, **kwargs: Any) -> Any:
        """Write the problems of an operation into its document, by status, with examples."""
        problems = (*doc_info.get("problems", ()), *ALWAYS)
        for way in doc_info.get("manual_doc", {}).get("security", []):
            if method != "get" and way.keys() & COOKIES.keys():
                way["csrf"] = []
                problems = (*problems, CsrfFailed)
        if TooManyRequests in problems:
            problems = (*problems, LimitsUnavailable)
        if "requestBody" in doc:
            problems = (*WITH_BODY, *problems)
            content = doc["requestBody"]["content"]
            if getattr(content["application/json"]["schema"], "takes_forms", False):
                content[FORM] = content["application/json"]
        responses = doc.setdefault("responses", {})
        if "tokens_at" in doc_info:
            (success,) = doc_info["success_status_codes"]
            responses[success]["links"] = _links(doc_info["tokens_at"])
        for status in {problem.status for problem in problems}:
            alike = [problem for problem in problems if problem.status == status]
            responses[status] = _response(status, alike)
        for response in responses.values():
            response.setdefault("headers", {})["X-Request-ID"] = REQUEST_ID
        return doc


def _links(at: str) -> dict[str, Any]:
    """Tell what the tokens of an answer can be used for (OpenAPI, "Link Object")."""
    access, refresh = (f"$response.body#{at}/{kind}" for kind in ("access", "refresh"))
    bodies = {
        "refresh": {"refresh": refresh},
        "verify": {"token": access},
        "revoke": {"token": refresh},
        "logout": {"refresh": refresh},
    }
    return {name: {"operationId": name, "requestBody": body} for name, body in bodies.items()}


def _response(status: int, problems: list[type[Problem]]) -> dict[str, Any]:
    """Describe the answer of one status, with an example for each of its problems."""
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
    """flask-smorest without its wording of errors, which errors.py does."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register none."""

    def _register_responses(self) -> None:
        """Register none: its error is not ours."""

    def _register_pagination_header(self) -> None:
        """Register none: nothing comes in pages."""


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
