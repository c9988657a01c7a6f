"""The problems that the service reports to its clients (RFC 9457).

    Problem
    ├── InternalError                    500 internal_error
    ├── InvalidInput                     400 validation_error
    ├── MalformedJSON                    400 malformed_json
    ├── BadRequest                       400 bad_request
    ├── InvalidCredentials               400 invalid_credentials
    │   ├── InvalidCode                  400 invalid_code
    │   └── PasskeyInvalid               400 passkey_invalid
    │       └── PasskeyUnknown           400 passkey_unknown
    ├── PasskeyExists                    400 passkey_exists
    ├── TicketInvalid                    400 ticket_invalid
    ├── LinkInvalid                      400 link_invalid
    ├── TokenProblem
    │   ├── TokenMissing                 401 token_missing
    │   ├── TokenInvalid                 401 token_invalid
    │   ├── TokenExpired                 401 token_expired
    │   ├── TokenRevoked                 401 token_revoked
    │   └── TokenReused                  401 token_reused
    ├── ReauthenticationRequired         401 insufficient_user_authentication
    ├── InvalidClient                    401 invalid_client
    ├── CsrfFailed                       403 csrf_failed
    ├── Forbidden                        403 forbidden
    ├── RegistrationClosed               403 registration_closed
    ├── SecondFactorRequired             403 second_factor_required
    ├── EmailUnverified                  403 email_unverified
    ├── NotFound                         404 not_found
    ├── MethodNotAllowed                 405 method_not_allowed
    ├── TooManyPasskeys                  409 too_many_passkeys
    ├── LastCredential                   409 last_credential
    ├── LastAdmin                        409 last_admin
    ├── OwnAccount                       409 own_account
    ├── BodyTooLarge                     413 body_too_large
    ├── UnsupportedMediaType             415 unsupported_media_type
    ├── TooManyRequests                  429 too_many_requests
    └── Unavailable
        ├── Overloaded                   503 overloaded
        ├── DatabaseUnavailable          503 database_unavailable
        ├── LimitsUnavailable            503 limits_unavailable
        ├── KeysUnreadable               503 keys_unreadable
        └── MigrationsPending            503 migrations_pending

Use cases and building blocks raise them, and ``http.problems.render`` turns them into responses.
Clients decide by ``code``, which is stable. ``detail`` is a sentence that a page can show. The
cause of a fault is logged and never sent.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Problem(Exception):
    """A rejected request or a fault, as the client learns of it.

    ``detail`` can be replaced by a sentence that says more.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    detail: str
    headers: Mapping[str, str] = {}
    errors: Mapping[str, Sequence[str]] | None = None
    members: Mapping[str, Any] = {}  # extension members of the document

    def __init__(self, detail: str = ""):
        super().__init__()
        if detail:
            self.detail = detail


class InternalError(Problem):
    """An unhandled exception. The log has its traceback."""

    status, code = 500, "internal_error"
    detail = "Something went wrong on our side. Please try again later."


class FieldError(str):
    """Why a field is rejected: a sentence for the user, a stable code, and parameters."""

    codes: ClassVar[set[str]] = set()  # those of all errors
    code: str
    parameters: Mapping[str, Any]

    def __new__(cls, code: str, sentence: str, **parameters: Any) -> "FieldError":
        error = super().__new__(cls, sentence)
        error.code, error.parameters = code, parameters
        cls.codes.add(code)
        return error

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.code, str(self)  # marshmallow copies its fields

    def format(self, *args: object, **kwargs: object) -> "FieldError":
        """Return the error itself. marshmallow formats its messages, which drops the code."""
        return self


class InvalidInput(Problem):
    """Invalid input. ``errors`` lists the reasons by field.

    Those that the API reports are ``FieldError`` objects.
    """

    status, code = 400, "validation_error"
    detail = "Please check the marked fields."

    def __init__(self, errors: Mapping[str, Sequence[str]]):
        super().__init__()
        self.errors = errors


class MalformedJSON(Problem):
    status, code = 400, "malformed_json"
    detail = "The request body is not valid JSON in UTF-8."


class BadRequest(Problem):
    status, code = 400, "bad_request"
    detail = "The request could not be understood."


class InvalidCredentials(Problem):
    """A wrong identifier or password."""

    status, code = 400, "invalid_credentials"
    detail = "Wrong e-mail, username or password."


class InvalidCode(InvalidCredentials):
    """A wrong code, or one that was used before."""

    code = "invalid_code"
    detail = "This code is wrong, or was used before. Wait for the next one, and try again."


class PasskeyInvalid(InvalidCredentials):
    """A passkey that was refused. Only the audit trail contains the ``reason``."""

    code = "passkey_invalid"
    detail = "This passkey could not be verified, or it took too long. Please try again."

    def __init__(self, reason: str = ""):
        super().__init__()
        self.reason = reason


class PasskeyUnknown(PasskeyInvalid):
    """A passkey that does not exist. The client may tell its authenticator."""

    code = "passkey_unknown"
    detail = "This passkey is not known here. It may have been removed. Please use another one."


class PasskeyExists(Problem):
    """A credential that was registered before."""

    status, code = 400, "passkey_exists"
    detail = "This passkey was added before."


class TicketInvalid(Problem):
    """A ticket that was used, has expired, or had too many wrong tries."""

    status, code = 400, "ticket_invalid"
    detail = "This took too long, or was tried too often. Please sign in again."


class LinkInvalid(Problem):
    """A link that was used or revoked, or has expired."""

    status, code = 400, "link_invalid"
    detail = "This link was used before, or is no longer valid. Please request a new one."


class TokenProblem(Problem):
    """A request without a valid token.

    ``WWW-Authenticate`` names the scheme, and the error unless no token was sent (RFC 6750 §3).
    """

    status = 401
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class TokenMissing(TokenProblem):
    """A request without a token."""

    code = "token_missing"
    detail = "Please sign in."
    headers = {"WWW-Authenticate": "Bearer"}


class TokenInvalid(TokenProblem):
    code = "token_invalid"
    detail = "This token is invalid. Please sign in again."


class TokenExpired(TokenProblem):
    code = "token_expired"
    detail = "This token has expired. Refresh it, or sign in again."


class TokenRevoked(TokenProblem):
    code = "token_revoked"
    detail = "This session has ended. Please sign in again."


class TokenReused(TokenProblem):
    code = "token_reused"
    detail = "This refresh token was used before, so its session was ended. Please sign in again."


class ReauthenticationRequired(Problem):
    """A valid token, but neither the password nor a proof beside it (RFC 9470 §3)."""

    status, code = 401, "insufficient_user_authentication"
    detail = "Please confirm this with your password: send it, or a valid proof, with the request."
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}

    def __init__(self, *, needs_factor: bool = False, detail: str = ""):
        super().__init__(detail or (PROOF_NEEDED if needs_factor else ""))
        if needs_factor:
            challenge = self.headers["WWW-Authenticate"]
            self.headers = {"WWW-Authenticate": f'{challenge}, acr_values="aal2"'}


PROOF_NEEDED = (
    "Your password alone is not enough. Please confirm this with your second factor, too: send"
    " a proof from /api/reauthenticate/ with the request."
)


class InvalidClient(Problem):
    """A service without valid client credentials (RFC 6749 §5.2)."""

    status, code = 401, "invalid_client"
    detail = "The id or the secret of the service is wrong or missing. Send both by HTTP Basic."
    headers = {"WWW-Authenticate": 'Basic realm="pycoder", charset="UTF-8"'}


class CsrfFailed(Problem):
    """A request with cookies that may come from a page of another site (CSRF)."""

    status, code = 403, "csrf_failed"
    detail = "The CSRF token is missing or out of date. Please reload the page and try again."


class Forbidden(Problem):
    """A valid token of a user without the role that the request needs (RFC 6750 §3.1)."""

    status, code = 403, "forbidden"
    detail = "Your account does not have the role that this needs. Please ask an administrator."
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}


class RegistrationClosed(Problem):
    status, code = 403, "registration_closed"
    detail = "Registration is closed. Please ask the operator of this service for an account."


class SecondFactorRequired(Problem):
    """A correct password of an account that needs a second factor.

    ``methods`` are those that the account can use. A login also gets a ``ticket``, which is good
    for the second step alone. Without any method, the ticket is good for adding an authenticator
    app alone.
    """

    status, code = 403, "second_factor_required"
    detail = "Please enter a code of your authenticator app, or use another second factor."

    def __init__(self, methods: Sequence[str], ticket: str = "", expires_in: int = 0):
        super().__init__()
        step = {"ticket": ticket, "expires_in": expires_in} if ticket else {}
        self.members = {"methods": list(methods), **step}
        if not methods:
            self.members["enrol"] = True
            self.detail = "This service requires a second factor. Add an authenticator app now."


class EmailUnverified(Problem):
    """No second factor while the address may belong to another person."""

    status, code = 403, "email_unverified"
    detail = "Please confirm your e-mail address first: open the link that we have mailed to you."


class NotFound(Problem):
    status, code = 404, "not_found"
    detail = "The requested resource does not exist. Please check the address."


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"
    detail = "This address does not accept the request method. Use one that the Allow header lists."


class TooManyPasskeys(Problem):
    status, code = 409, "too_many_passkeys"
    detail = "An account can have at most 20 passkeys. Please remove one first."


class LastCredential(Problem):
    """The only way in of an account without a password cannot be removed."""

    status, code = 409, "last_credential"
    detail = "This passkey is the only way to sign in to this account. Please set a password first."


class LastAdmin(Problem):
    """The last active administrator has to stay one."""

    status, code = 409, "last_admin"
    detail = "This is the last active administrator. Please make another user one first."


class OwnAccount(Problem):
    """A change of an administrator's own roles, or of its own active state."""

    status, code = 409, "own_account"
    detail = "This is your own account. Please ask another administrator to change it."


class BodyTooLarge(Problem):
    status, code = 413, "body_too_large"
    detail = "The request body is larger than 64 KiB. Please send less."


class UnsupportedMediaType(Problem):
    status, code = 415, "unsupported_media_type"
    detail = "The request body has an unsupported type. Send it as application/json in UTF-8."


def duration_in_words(seconds: int) -> str:
    """Return a duration in seconds, minutes or hours, rounded up."""
    size, unit = (1, "second") if seconds <= 90 else (60, "minute")
    if seconds > 7200:
        size, unit = 3600, "hour"
    count = math.ceil(seconds / size)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


class TooManyRequests(Problem):
    """A request over a rate limit, or during the pause of a lockout.

    ``retry_after`` is the number of seconds to wait. ``detail`` says it in words.
    """

    status, code = 429, "too_many_requests"
    detail = "Too many attempts. Please try again in 15 minutes."

    def __init__(self, retry_after: int = 60):
        super().__init__()
        self.headers = {"Retry-After": str(retry_after)}
        self.detail = f"Too many attempts. Please try again in {duration_in_words(retry_after)}."


class Unavailable(Problem):
    """A temporary fault. The client keeps its tokens, and repeats the request."""

    status = 503
    headers = {"Retry-After": "2"}


class Overloaded(Unavailable):
    code = "overloaded"
    detail = "Too many users are signing in at the moment. Please try again."


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    detail = "The service is temporarily unavailable. Please try again in a moment."


class LimitsUnavailable(Unavailable):
    code = "limits_unavailable"
    detail = "The service is temporarily unavailable. Please try again in a moment."


class KeysUnreadable(Unavailable):
    code = "keys_unreadable"
    detail = "The service cannot decrypt its signing keys. Its log names the key and the remedy."


class MigrationsPending(Unavailable):
    code = "migrations_pending"
    detail = "The database schema is out of date. Run flask db upgrade."
