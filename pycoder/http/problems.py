"""Render every exception as an RFC 9457 problem document."""

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, json, request
from limits.errors import StorageError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from pycoder.db.faults import is_unavailable, is_unmigrated
from pycoder.errors import (
    BadRequest,
    BodyTooLarge,
    DatabaseUnavailable,
    FieldError,
    InternalError,
    LimitsUnavailable,
    MethodNotAllowed,
    MigrationsPending,
    NotFound,
    Problem,
    UnsupportedMediaType,
)
from pycoder.metrics import PROBLEMS

PROBLEM_JSON = "application/problem+json"

PROBLEM_BY_STATUS: dict[int | None, type[Problem]] = {
    problem.status: problem
    for problem in (BadRequest, NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}


def render(problem: Problem) -> Response:
    """Return the response of a problem, and count it."""
    PROBLEMS.labels(problem.code).inc()
    body = document(problem, problem.status, request.id)  # type: ignore[attr-defined]
    body |= problem.members
    if problem.errors is not None:
        body["errors"] = problem.errors
        body["error_codes"] = {
            field: [_coded(reason) for reason in reasons]
            for field, reasons in problem.errors.items()
        }
    return Response(json.dumps(body), problem.status, problem.headers, mimetype=PROBLEM_JSON)


def document(problem: Problem, status: int, request_id: str) -> dict[str, Any]:
    """Return the members that every problem document has (RFC 9457)."""
    return {
        "type": f"urn:pycoder:problem:{problem.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }


def _coded(reason: str) -> dict[str, Any]:
    """Return the code of a reason, and its parameters."""
    if isinstance(reason, FieldError):
        return {"code": reason.code, **reason.parameters}
    return {"code": "invalid"}


def from_http_exception(error: HTTPException) -> Problem:
    """Convert an exception of Werkzeug or Flask. 405 keeps its ``Allow`` header."""
    problem = PROBLEM_BY_STATUS.get(
        error.code, BadRequest if (error.code or 500) < 500 else InternalError
    )()
    problem.headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem


def from_database_error(error: Exception) -> Problem:
    """Convert a fault of the database to 503, and every other error of it to 500."""
    if is_unmigrated(error):
        current_app.logger.error("the database lacks a table; run flask db upgrade")
        return MigrationsPending()
    if is_unavailable(error):
        current_app.logger.error("database unavailable: %s", getattr(error, "orig", None) or error)
        return DatabaseUnavailable()
    return from_unhandled(error)


def from_storage_error(error: StorageError) -> Problem:
    """Convert a storage failure to 503. Rate limiting fails closed."""
    current_app.logger.error("limit storage unavailable: %s", error.storage_error)
    return LimitsUnavailable()


def from_unhandled(error: Exception) -> Problem:
    """Log an unhandled exception with its traceback, and convert it to 500."""
    current_app.logger.error("unhandled exception", exc_info=error)
    return InternalError()


def init_app(app: Flask) -> None:
    """Render every exception of the application as a problem document."""
    app.register_error_handler(Problem, render)
    app.register_error_handler(HTTPException, lambda error: render(from_http_exception(error)))
    app.register_error_handler(DBAPIError, lambda error: render(from_database_error(error)))
    app.register_error_handler(PoolTimeout, lambda error: render(from_database_error(error)))
    app.register_error_handler(StorageError, lambda error: render(from_storage_error(error)))
    app.register_error_handler(Exception, lambda error: render(from_unhandled(error)))
