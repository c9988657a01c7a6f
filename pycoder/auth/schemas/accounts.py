"""Schemas of accounts: registration, profile, passwords, e-mail addresses, export."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from pycoder.auth.schemas.base import (
    RequestSchema,
    Secret,
    Text,
    Token,
    TransportSchema,
)


class RegisterSchema(TransportSchema):
    email = Text(longest=254, required=True, metadata={"example": "ada@example.com"})
    password = Secret(metadata={"example": "correct horse battery staple"})
    password2 = Secret(required=False, metadata={"description": "If given: the password again."})
    username = Text(longest=254, metadata={"description": "Default: from the e-mail address."})
    first_name = Text(longest=150)
    last_name = Text(longest=150)

    @validates_schema
    def same_password_twice(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data.pop("password2", data["password"]) != data["password"]:
            raise ValidationError("The two passwords differ.", "password2")


class UserSchema(Schema):
    id = fields.Integer(required=True)
    email = fields.String(required=True)
    email_verified = fields.Boolean(required=True)
    username = fields.String(required=True)
    first_name = fields.String(required=True)
    last_name = fields.String(required=True)
    date_joined = fields.DateTime("iso", required=True)


class EventSchema(Schema):
    event = fields.String(required=True)
    at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    session = fields.UUID(required=True, allow_none=True, attribute="session_id")


class ProfileSchema(RequestSchema):
    username = Text(longest=254)
    first_name = Text(longest=150)
    last_name = Text(longest=150)


class ProofSchema(RequestSchema):
    password = Secret(
        required=False,
        metadata={"description": "Needed when the sign-in is older than five minutes."},
    )


class PasswordChangeSchema(RequestSchema):
    current_password = Secret()
    new_password = Secret()


class ResetSchema(RequestSchema):
    email = Text(longest=254, required=True, metadata={"example": "ada@example.com"})


class ResetConfirmSchema(RequestSchema):
    token = Token(metadata={"description": "As it stands in the link, behind token=."})
    new_password = Secret()


class LinkSchema(RequestSchema):
    token = Token(metadata={"description": "As it stands in the link, behind token=."})


class EmailChangeSchema(ProofSchema):
    email = Text(longest=254, required=True, metadata={"example": "ada@example.org"})
