"""Schemas of the admin API."""

from typing import Any

from marshmallow import Schema, fields, validate

from pycoder.auth.schemas.accounts import UserSchema
from pycoder.auth.schemas.base import Identifier, RequestSchema, Text
from pycoder.auth.schemas.sessions import SessionSchema
from pycoder.errors import FieldError
from pycoder.models.role import ROLE_LENGTH

HIGHEST_ID = 2**63 - 1
NOT_A_BOOLEAN = FieldError("not_a_boolean", "Use true or false.")


class WholeNumber(fields.Integer):
    """A whole number in a range."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any):
        error = FieldError(
            "invalid_number",
            f"Use a whole number from {minimum} to {maximum}.",
            minimum=minimum,
            maximum=maximum,
        )
        super().__init__(
            validate=validate.Range(minimum, maximum, error=error),
            error_messages={"invalid": error, "null": error, "too_large": error},
            **kwargs,
        )


class TrueOrFalse(fields.Boolean):
    """A boolean whose errors have a code."""

    default_error_messages = {"invalid": NOT_A_BOOLEAN, "null": NOT_A_BOOLEAN}


class PageQuerySchema(RequestSchema):
    """The base of queries for a page of a list."""

    limit = WholeNumber(1, 100, load_default=50)


class UsersQuerySchema(PageQuerySchema):
    """The query for a page of accounts."""

    q = Identifier(
        load_default="",
        metadata={"description": "An id, or the beginning of an e-mail address or username."},
    )
    role = Text(longest=ROLE_LENGTH, metadata={"description": "Only those with this role."})
    active = TrueOrFalse(metadata={"description": "Only active or only deactivated accounts."})
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
