"""Schemas of sessions: login, logout, the list of sessions."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from pycoder.auth.schemas.accounts import UserSchema
from pycoder.auth.schemas.base import (
    AnyToken,
    Identifier,
    Password,
    RequestSchema,
    TransportSchema,
)
from pycoder.errors import FieldError

ACCESS_TOKEN = "Valid for 60 minutes by default."
REFRESH_TOKEN = "Valid once, for 7 days by default."

ONE_IDENTIFIER = FieldError("one_identifier", "Send either an e-mail address or a username.")


class LoginSchema(TransportSchema):
    """The body of a login."""

    email = Identifier(metadata={"description": "The e-mail address or the username."})
    username = Identifier(metadata={"description": "The same, instead of email."})
    password = Password()

    @validates_schema
    def check_identifier(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Require either an e-mail address or a username."""
        if bool(data.get("email")) == bool(data.get("username")):
            raise ValidationError([ONE_IDENTIFIER], "email")

    @post_load
    def merge_identifier(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the data with one ``identifier``."""
        identifiers = data.pop("email", ""), data.pop("username", "")
        return {**data, "identifier": "".join(identifiers)}


class LogoutSchema(RequestSchema):
    """The body of a logout."""

    refresh = AnyToken()


class TokenPairSchema(Schema):
    """An access token and a refresh token."""

    access = fields.String(required=True, metadata={"description": ACCESS_TOKEN})
    refresh = fields.String(required=True, metadata={"description": REFRESH_TOKEN})


class CookieTokensSchema(Schema):
    """The members of a token response in cookie mode."""

    expires_in = fields.Integer(
        metadata={"description": "Cookie mode: seconds until the access token expires."}
    )
    csrf_token = fields.String(
        metadata={
            "description": "Cookie mode: the value of X-CSRF-TOKEN in all requests of the session."
        }
    )


class TokensSchema(CookieTokensSchema):
    """A token response: the pair, or the members of cookie mode."""

    tokens = fields.Nested(TokenPairSchema)


class LoginResultSchema(TokensSchema):
    """The response to a login or registration."""

    user = fields.Nested(UserSchema, required=True)


class SecondStepResultSchema(LoginResultSchema):
    """The response to the second step of a login."""

    recovery_codes = fields.List(
        fields.String(),
        metadata={"description": "With an authenticator app that was added: shown once."},
    )


class SessionSchema(Schema):
    """A session of the user."""

    id = fields.UUID(required=True)
    created_at = fields.DateTime("iso", required=True)
    last_used_at = fields.DateTime("iso", required=True)
    expires_at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    current = fields.Boolean(required=True)
