"""flask-smorest subclasses: strict parsing, and documented problems."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, NoReturn

import flask_smorest
from flask import Request
from marshmallow import Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict

from config import ProductionConfig
from pycoder import errors
from pycoder.errors import FieldError, InvalidInput, Problem, TokenProblem
from pycoder.http.problems import PROBLEM_JSON

FORM = "application/x-www-form-urlencoded"

REQUEST_ID = {
    "description": "The id of the request. Include it when you report a problem.",
    "schema": {"type": "string"},
    "required": True,
}
HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "The scheme, and the error (RFC 6750 §3)."},
    405: {"Allow": "The methods that this path supports."},
    429: {"Retry-After": "Seconds to wait before the next request."},
    503: {"Retry-After": "Seconds to wait before the next request."},
}

TEXT: dict[str, Any] = {"type": "string"}
SETS_COOKIES = {
    "Set-Cookie": {
        "description": "Cookie mode: the cookies of the session. A login also sets device.",
        "schema": TEXT,
    }
}
IDENTITY = {
    "X-Auth-User": {"description": "The id of the user.", "schema": TEXT, "required": True},
    "X-Auth-Username": {
        "description": "The username, percent-encoded UTF-8.",
        "schema": TEXT,
        "required": True,
    },
    "X-Auth-Roles": {
        "description": "The roles, separated by spaces. Empty without any.",
        "schema": TEXT,
        "required": True,
    },
}
CACHEABLE = {
    "ETag": {"description": "For If-None-Match.", "schema": TEXT, "required": True},
    "Cache-Control": {"description": "How long to keep it.", "schema": TEXT, "required": True},
}

ALWAYS = (
    errors.BadRequest,
    errors.MethodNotAllowed,
    errors.InternalError,
    errors.DatabaseUnavailable,
    errors.MigrationsPending,
    errors.KeysUnreadable,
)
WITH_BODY = (InvalidInput, errors.MalformedJSON, errors.BodyTooLarge, errors.UnsupportedMediaType)
ACCESS_TOKEN_PROBLEMS = tuple(
    problem for problem in TokenProblem.__subclasses__() if problem is not errors.TokenReused
)

COOKIES = {
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": ProductionConfig.JWT_ACCESS_COOKIE_NAME,
        "description": "The access token of a cookie session. No prefix outside production.",
    },
    "refresh_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": ProductionConfig.JWT_REFRESH_COOKIE_NAME,
        "description": "Only sent to /api/token/. No prefix outside production.",
    },
}
CSRF = {
    "type": "apiKey",
    "in": "header",
    "name": "X-CSRF-TOKEN",
    "description": "The csrf_token of the login, with every request by cookie except GET.",
}

View = Callable[..., Any]


class FieldErrorSchema(Schema):
    """The code of a reason, and the parameters of its sentence."""

    code = fields.String(required=True, metadata={"description": "Stable."})
    minimum = fields.Integer()
    maximum = fields.Integer()
    choices = fields.List(fields.String())


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
    error_codes = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Nested(FieldErrorSchema)),
        metadata={"description": "The code of each reason, in the same order."},
    )
    ticket = fields.String(metadata={"description": "For the second step of this login."})
    methods = fields.List(
        fields.String(), metadata={"description": "Those of the second step: totp, passkey, …"}
    )
    enrol = fields.Boolean(
        metadata={"description": "The ticket is for POST /api/login/enrol/: add a factor first."}
    )
    expires_in = fields.Integer(metadata={"description": "Seconds for which the ticket is valid."})


class StrictParser(FlaskParser):
    """Parse JSON bodies strictly, and report bad input as a problem."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": None,  # the schema decides, as for bodies
    }

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the JSON body, or the form if the schema accepts one. No body is ``{}``.

        The values of a repeated parameter are joined by a space, unless they are equal. No token
        contains a space, so two tokens are none.
        """
        if not req.get_data(cache=True, parse_form_data=False):
            return {}
        if getattr(schema, "accepts_forms", False) and req.mimetype == FORM:
            return _join_repeated(req.form)
        return req.get_json()

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Return the query. The values of a repeated parameter are joined, as in a form."""
        return _join_repeated(req.args)

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any
    ) -> NoReturn:
        """Raise ``InvalidInput`` with the messages of each field."""
        messages = next(iter(error.messages_dict.values()))
        raise InvalidInput(
            {"body" if name == "_schema" else name: messages[name] for name in messages}
        )


def _join_repeated(parameters: MultiDict[str, str]) -> dict[str, str]:
    """Return each parameter once. Its different values are joined by a space."""
    return {name: " ".join(dict.fromkeys(values)) for name, values in parameters.lists()}


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose views document the problems that they raise."""

    ARGUMENTS_PARSER = StrictParser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        """Register a view under its name as ``operationId``."""
        register = super().route(rule, **options)
        return lambda view: register(self.doc(operationId=view.__name__)(view))

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Parse arguments with one instance of the schema for all requests."""
        parse: Callable[[View], View] = super().arguments(schema(), **options)
        if not getattr(schema, "accepts_forms", False):
            return parse
        return lambda view: parse(self.doc(**{"x-form": True})(view))

    def errors(self, *problems: type[Problem]) -> Callable[[View], View]:
        """Document the problems of a view, besides those that every view has."""
        return self.doc(**{"x-problems": {problem.code: True for problem in problems}})  # type: ignore[no-any-return]

    def links(self, pointer: str) -> Callable[[View], View]:
        """Document where the tokens are in a response, and which operations accept them."""
        return self.doc(**{"x-tokens": pointer})  # type: ignore[no-any-return]


class ProblemApi(flask_smorest.Api):
    """flask-smorest with a document of the problems that http/problems.py renders."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema

    def document(self) -> dict[str, Any]:
        """Return the complete OpenAPI document."""
        document: dict[str, Any] = deepcopy(self.spec.to_dict())
        del document["components"]["responses"]  # flask-smorest's own, which nothing refers to
        schemas = document["components"]["schemas"]
        del schemas["PaginationMetadata"]
        schemas["FieldError"]["properties"]["code"]["examples"] = sorted(FieldError.codes)
        for path in document["paths"].values():
            for method, operation in path.items():
                if method != "parameters":
                    _complete(operation, method)
        return document


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


def _complete(operation: dict[str, Any], method: str) -> None:
    """Add links, problem responses and ``X-Request-ID`` to an operation."""
    responses = operation["responses"]
    if operation.pop("x-form", False):
        content = operation["requestBody"]["content"]
        content[FORM] = content["application/json"]
    pointer = operation.pop("x-tokens", None)
    if pointer is not None:
        success = next(status for status in responses if status.startswith("2"))
        responses[success]["links"] = _links(pointer)
    problems = _problems(operation, method)
    for status in {problem.status for problem in problems}:
        alike = [problem for problem in problems if problem.status == status]
        responses[str(status)] = _response(status, alike)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = REQUEST_ID


def _problems(operation: dict[str, Any], method: str) -> list[type[Problem]]:
    """Return the problems of an operation, and document CSRF tokens and form bodies."""
    by_code = {problem.code: problem for problem in _all_problems(Problem)}
    problems = [by_code[code] for code in operation.pop("x-problems", ())] + list(ALWAYS)
    for requirement in operation.get("security", []):
        if method != "get" and requirement.keys() & COOKIES.keys():
            requirement["csrf"] = []
            problems.append(errors.CsrfFailed)
    if errors.TooManyRequests in problems:
        problems.append(errors.LimitsUnavailable)
    if "requestBody" in operation:
        problems = [*WITH_BODY, *problems]
    return problems


def _all_problems(kind: type[Problem]) -> Iterable[type[Problem]]:
    for problem in kind.__subclasses__():
        yield from _all_problems(problem)
        if "code" in vars(problem):
            yield problem


def _links(pointer: str) -> dict[str, Any]:
    """Return links to the operations that accept the tokens (OpenAPI, "Link Object")."""
    access, refresh = (f"$response.body#{pointer}/{kind}" for kind in ("access", "refresh"))
    bodies = {
        "refresh": {"refresh": refresh},
        "verify": {"token": access},
        "revoke": {"token": refresh},
        "logout": {"refresh": refresh},
    }
    return {name: {"operationId": name, "requestBody": body} for name, body in bodies.items()}


def _response(status: int, problems: list[type[Problem]]) -> dict[str, Any]:
    """Return the response of one status, with an example for each of its problems."""
    examples = {p.code: {"summary": p.detail, "value": _example(p)} for p in problems}
    headers = {
        name: {"description": text, "schema": {"type": "string"}, "required": True}
        for name, text in HEADERS.get(status, {}).items()
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": ", ".join(examples),
        "headers": headers,
        "content": {PROBLEM_JSON: {"schema": schema, "examples": examples}},
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
        example["errors"] = {"password": ["Use at least 8 characters."]}
        example["error_codes"] = {"password": [{"code": "too_short", "minimum": 8}]}
    return example
