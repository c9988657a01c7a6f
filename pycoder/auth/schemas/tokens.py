"""Schemas of tokens: refresh, verification, revocation, introspection."""

from marshmallow import EXCLUDE, Schema, fields, validate

from pycoder.auth.schemas.base import RequestSchema, Text, Token
from pycoder.auth.schemas.sessions import CookieTokensSchema


class RefreshSchema(RequestSchema):
    refresh = Token(required=False, metadata={"description": "Unless it comes in its cookie."})


class VerifySchema(RequestSchema):
    token = Token()


class RevokeSchema(RequestSchema):
    """RFC 7009 §2.1: also as a form, and with whatever else an OAuth client library sends."""

    takes_forms = True

    class Meta:
        unknown = EXCLUDE

    token = Token()
    token_type_hint = Text(longest=100, load_only=True)


class IntrospectSchema(RevokeSchema):
    """RFC 7662 §2.1, read as a revocation is."""


class IntrospectionSchema(Schema):
    """RFC 7662 §2.2: of a token that is not good, ``active`` alone."""

    active = fields.Boolean(required=True)
    token_type = fields.String(metadata={"description": "Bearer"})
    username = fields.String()
    sub = fields.String()
    sid = fields.String(metadata={"description": "The session."})
    jti = fields.String()
    iss = fields.String()
    aud = fields.String()
    iat = fields.Integer()
    exp = fields.Integer()


class IdempotencySchema(RequestSchema):
    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        load_default=lambda: None,  # a function stays out of the document, where null is wrong
        validate=validate.Regexp(r"^[\x21-\x7e]{8,128}$"),
        metadata={
            "description": "8 to 128 visible ASCII characters; again when an answer is lost."
        },
    )


class RefreshResultSchema(CookieTokensSchema):
    access = fields.String(metadata={"description": "For 60 minutes."})
    refresh = fields.String(metadata={"description": "For one use, in 7 days."})
