"""Schemas of the admin API."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from pycoder.accounts.roles import INVALID_ROLE
from pycoder.auth.schemas.accounts import ProofSchema, UserSchema
from pycoder.auth.schemas.base import Identifier, RequestSchema, RoleName, Text, TrueOrFalse
from pycoder.auth.schemas.sessions import SessionSchema
from pycoder.errors import FieldError
from pycoder.models.role import ROLE_LENGTH, ROLE_NAME

HIGHEST_ID = 2**63 - 1
MAXIMUM_ROLES = 20  # so that tokens stay small
NOT_A_LIST = FieldError("not_a_list", "Send a list.")
TOO_MANY = FieldError("too_many", f"Use at most {MAXIMUM_ROLES} roles.", maximum=MAXIMUM_ROLES)


class WholeNumber(fields.Integer):
    """A whole number in a range."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any):
        bounds = f"from {minimum} to {maximum}" if maximum < HIGHEST_ID else f"from {minimum} on"
        error = FieldError(
            "invalid_number",
            f"Use a whole number {bounds}.",
            minimum=minimum,
            maximum=maximum,
        )
        super().__init__(
            validate=validate.Range(minimum, maximum, error=error),
            error_messages={"invalid": error, "null": error, "too_large": error},
            **kwargs,
        )


class PageQuerySchema(RequestSchema):
    """The base of queries for a page of a list."""

    limit = WholeNumber(1, 100, load_default=50)


class UsersQuerySchema(PageQuerySchema):
    """The query for a page of accounts."""

    q = Identifier(
        load_default="",
        metadata={"description": "An id, or the beginning of an e-mail address or username."},
    )
    role = RoleName(description="Only those with this role.")
    active = TrueOrFalse(
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Only active or only deactivated accounts."},
    )
    after = WholeNumber(
        0,
        HIGHEST_ID,
        load_default=0,
        metadata={"description": "The next of the page before."},
    )


class EventsQuerySchema(PageQuerySchema):
    """The query for a page of the audit trail."""

    user = WholeNumber(
        0,
        HIGHEST_ID,
        load_default=None,
        metadata={"description": "Only the events of this account."},
    )
    event = Text(
        longest=40, load_default=None, metadata={"description": "Only the events of this kind."}
    )
    after = WholeNumber(
        0,
        HIGHEST_ID,
        load_default=None,
        metadata={"description": "The next of the page before."},
    )


class RoleNames(fields.List[Any]):
    """A list of the names of roles."""

    def __init__(self, **kwargs: Any):
        name = {"pattern": "^[a-z][a-z0-9_.-]*$", "maxLength": ROLE_LENGTH}
        length = validate.Length(max=MAXIMUM_ROLES, error=TOO_MANY)
        super().__init__(fields.String(metadata=name), validate=length, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the names. The error of one is an error of the field."""
        if not isinstance(value, list):
            raise ValidationError([NOT_A_LIST])
        if not all(isinstance(name, str) and ROLE_NAME.match(name) for name in value):
            raise ValidationError([INVALID_ROLE])
        return sorted(set(value))


class UserChangeSchema(ProofSchema):
    """The changes to an account, and the password or a proof of the administrator."""

    is_active = TrueOrFalse()
    roles = RoleNames(metadata={"description": "All of them: what is left out is revoked."})

    @post_load
    def gather_changes(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the changes as one argument."""
        changes = {name: data.pop(name) for name in ("is_active", "roles") if name in data}
        return {**data, "changes": changes}


class InvitationSchema(ProofSchema):
    """A new account, and the password or a proof of the administrator."""

    email = Identifier(required=True, metadata={"example": "ada@example.com"})
    username = Identifier(metadata={"description": "Default: derived from the e-mail address."})
    first_name = Text(longest=150)
    last_name = Text(longest=150)
    roles = RoleNames(load_default=list)


class AdminUserSchema(UserSchema):
    """A user, as administrators see it."""

    is_active = fields.Boolean(required=True)
    has_password = fields.Boolean(required=True)
    second_factor = fields.Boolean(
        required=True, metadata={"description": "Whether there is an app or a passkey."}
    )


class AdminSessionSchema(SessionSchema):
    """An active session of a user."""

    class Meta:
        exclude = ("current",)  # which concerns the session of a request


class AdminEventSchema(Schema):
    """An event of the audit trail."""

    id = fields.Integer(required=True)
    event = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    at = fields.DateTime("iso", required=True)
    user_id = fields.Integer(required=True, allow_none=True)
    actor_id = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The administrator that caused it."},
    )
    session = fields.UUID(required=True, allow_none=True, attribute="session_id")
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)


class AdminUserDetailSchema(AdminUserSchema):
    """A user with its factors, active sessions and latest events."""

    factors = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The kinds that exist: totp, passkey, recovery_code."},
    )
    sessions = fields.List(fields.Nested(AdminSessionSchema), required=True)
    events = fields.List(fields.Nested(AdminEventSchema), required=True)


NEXT = {"description": "The after of the next page, or null at the end."}


class AdminUserPageSchema(Schema):
    """A page of accounts."""

    items = fields.List(fields.Nested(AdminUserSchema), required=True)
    next = fields.Integer(required=True, allow_none=True, metadata=NEXT)


class AdminEventPageSchema(Schema):
    """A page of the audit trail."""

    items = fields.List(fields.Nested(AdminEventSchema), required=True)
    next = fields.Integer(required=True, allow_none=True, metadata=NEXT)
