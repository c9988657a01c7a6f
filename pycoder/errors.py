"""Every refusal and fault, and their one rendering (RFC 9457, ``application/problem+json``).

    Problem
    ├── InternalError                    500 internal_error
    ├── InvalidInput                     400 validation_error
    ├── MalformedJSON                    400 malformed_json
    ├── BadRequest                       400 bad_request
    ├── InvalidCredentials               400 invalid_credentials
    ├── LinkInvalid                      400 link_invalid
    ├── TokenProblem
    │   ├── TokenMissing                 401 token_missing
    │   ├── TokenInvalid                 401 token_invalid
    │   ├── TokenExpired                 401 token_expired
    │   ├── TokenRevoked                 401 token_revoked
    │   └── TokenReused                  401 token_reused
    ├── ProofNeeded                      401 insufficient_user_authentication
    ├── InvalidClient                    401 invalid_client
    ├── CsrfFailed                       403 csrf_failed
    ├── RegistrationClosed               403 registration_closed
    ├── NotFound                         404 not_found
    ├── MethodNotAllowed                 405 method_not_allowed
    ├── BodyTooLarge                     413 body_too_large
    ├── UnsupportedMediaType             415 unsupported_media_type
    ├── TooManyRequests                  429 too_many_requests
    └── Unavailable
        ├── Overloaded                   503 overloaded
        ├── DatabaseUnavailable          503 database_unavailable
        ├── LimitsUnavailable            503 limits_unavailable
        ├── KeysUnreadable               503 keys_unreadable
        └── MigrationsPending            503 migrations_pending

Rooms raise them, ``render`` words them. ``code`` is stable; ``detail`` is a sentence that a page
can show as it is. The cause goes to the log and never to the client.
"""

from collections.abc import Mapping
from typing import ClassVar


class Problem(Exception):
    """A refusal or fault that the client is told about."""

    status: ClassVar[int]
    code: ClassVar[str]
    detail: str
    headers: Mapping[str, str] = {}
    errors: Mapping[str, list[str]] | None = None


class InternalError(Problem):
    status, code = 500, "internal_error"
    detail = "Something went wrong on our side. Please try again later."


class InvalidInput(Problem):
    """What was sent does not fit; ``errors`` tells the reasons field by field."""

    status, code = 400, "validation_error"
    detail = "Please check the marked fields."

    def __init__(self, errors: Mapping[str, list[str]]):
        super().__init__()
        self.errors = errors


class MalformedJSON(Problem):
    status, code = 400, "malformed_json"
    detail = "The body is not valid JSON in UTF-8."


class BadRequest(Problem):
    status, code = 400, "bad_request"
    detail = "The request could not be understood."


class InvalidCredentials(Problem):
    status, code = 400, "invalid_credentials"
    detail = "Wrong e-mail, username or password."

    def __init__(self, detail: str = detail):
        super().__init__()
        self.detail = detail


class LinkInvalid(Problem):
    status, code = 400, "link_invalid"
    detail = "This link was used before, or is too old. Please ask for a new one."


class TokenProblem(Problem):
    """RFC 6750 §3: a 401 names the scheme, and the error unless no token was sent."""

    status = 401
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class TokenMissing(TokenProblem):
    code = "token_missing"
    detail = "Please sign in."
    headers = {"WWW-Authenticate": "Bearer"}


class TokenInvalid(TokenProblem):
    code = "token_invalid"
    detail = "This token is not valid. Please sign in again."


class TokenExpired(TokenProblem):
    code = "token_expired"
    detail = "This token has expired."


class TokenRevoked(TokenProblem):
    code = "token_revoked"
    detail = "This session is over. Please sign in again."


class TokenReused(TokenProblem):
    code = "token_reused"
    detail = "This token was used before, so its session was ended. Please sign in again."


class ReauthenticationRequired(Problem):
    """RFC 9470 §3: the token is good, and not enough for this call."""

    status, code = 401, "insufficient_user_authentication"
    detail = "Please enter your password again."
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication", max_age="300"'}


class InvalidClient(Problem):
    """RFC 6749 §5.2: a service that is none of ours, or that does not say who it is."""

    status, code = 401, "invalid_client"
    detail = "Send the id and the secret of a service."
    headers = {"WWW-Authenticate": 'Basic realm="pycoder", charset="UTF-8"'}


class CsrfFailed(Problem):
    """A cookie came along, and nothing shows that a page of ours has sent it."""

    status, code = 403, "csrf_failed"
    detail = "This page is not up to date. Please reload it and try again."


class RegistrationClosed(Problem):
    status, code = 403, "registration_closed"
    detail = "New accounts are not open at the moment."


class NotFound(Problem):
    status, code = 404, "not_found"
    detail = "There is nothing here."


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"
    detail = "This address does not take that method."


class BodyTooLarge(Problem):
    status, code = 413, "body_too_large"
    detail = "The body is larger than 64 KiB."


class UnsupportedMediaType(Problem):
    status, code = 415, "unsupported_media_type"
    detail = "Send the body as application/json in UTF-8."


class TooManyRequests(Problem):
    status, code = 429, "too_many_requests"
    detail = "Too many tries. Please wait a moment."

    def __init__(self, retry_after: int = 60):
        super().__init__()
        self.headers = {"Retry-After": str(retry_after)}


class Unavailable(Problem):
    """A fault that passes: the client keeps its tokens and tries again."""

    status = 503
    headers = {"Retry-After": "2"}


class Overloaded(Unavailable):
    code = "overloaded"
    detail = "Too many people are signing in at this moment. Please try again."


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    detail = "The service is not available for a moment. Please try again."


class LimitsUnavailable(Unavailable):
    code = "limits_unavailable"
    detail = "The service is not available for a moment. Please try again."


class KeysUnreadable(Unavailable):
    code = "keys_unreadable"
    detail = "The signing keys cannot be opened; the log says which, and what to do."


class MigrationsPending(Unavailable):
    code = "migrations_pending"
    detail = "The database is not up to date; run flask db upgrade."
