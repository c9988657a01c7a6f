"""Schemas of sessions: login, logout, the list of sessions."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from pycoder.auth.schemas.accounts import UserSchema
from pycoder.auth.schemas.base import (
    RequestSchema,
    Secret,
    Text,
    Token,
    TransportSchema,
)


class LoginSchema(TransportSchema):
    email = Text(longest=254, metadata={"description": "Or the username."})
    username = Text(longest=254)
    password = Secret()

    @validates_schema
    def one_name(self, data: dict[str, Any], **kwargs: Any) -> None:
        if bool(data.get("email")) == bool(data.get("username")):
            raise ValidationError("Send either an e-mail address or a username.", "email")

    @post_load
    def either(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        names = data.pop("email", ""), data.pop("username", "")
        return {**data, "identifier": "".join(names)}


class LogoutSchema(RequestSchema):
    refresh = Token(required=False)


class TokenPairSchema(Schema):
    access = fields.String(required=True, metadata={"description": "For 60 minutes."})
    refresh = fields.String(required=True, metadata={"description": "For one use, in 7 days."})


class CookieTokensSchema(Schema):
    """What a page has to know of a pair that came in cookies."""

    expires_in = fields.Integer(
        metadata={"description": "By cookie: seconds for which the access token is good."}
    )
    csrf_token = fields.String(
        metadata={
            "description": "By cookie: to send as X-CSRF-TOKEN, as long as the session lives."
        }
    )


class TokensSchema(CookieTokensSchema):
    tokens = fields.Nested(TokenPairSchema)


class LoginResultSchema(TokensSchema):
    user = fields.Nested(UserSchema, required=True)


class SessionSchema(Schema):
    id = fields.UUID(required=True)
    created_at = fields.DateTime("iso", required=True)
    last_used_at = fields.DateTime("iso", required=True)
    expires_at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    current = fields.Boolean(required=True)
