"""Schemas of tokens: refresh, verification, revocation, introspection."""

from marshmallow import EXCLUDE, Schema, fields, validate

from pycoder.auth.schemas.base import AnyToken, RequestSchema, RoleName, String, Text, Token
from pycoder.auth.schemas.sessions import ACCESS_TOKEN, REFRESH_TOKEN, CookieTokensSchema
from pycoder.errors import FieldError

INVALID_KEY = FieldError(
    "invalid_key", "Use 8 to 128 visible ASCII characters.", minimum=8, maximum=128
)


class RefreshSchema(RequestSchema):
    """The body of a refresh."""

    refresh = Token(required=False, metadata={"description": "Required, except in cookie mode."})


class VerifySchema(RequestSchema):
    """The body of a verification."""

    token = Token()


class RevokeSchema(RequestSchema):
    """The body of a revocation (RFC 7009 §2.1).

    A form is accepted, too. Unknown parameters of OAuth client libraries are ignored.
    """

    accepts_forms = True

    class Meta:
        unknown = EXCLUDE

    token: fields.String = AnyToken(required=True)
    token_type_hint = Text(longest=100, load_only=True)


class IntrospectSchema(RevokeSchema):
    """The body of an introspection request (RFC 7662 §2.1)."""

    token = Token()


class IntrospectionSchema(Schema):
    """The introspection response (RFC 7662 §2.2). Only ``active`` is required."""

    active = fields.Boolean(required=True)
    token_type = fields.String(metadata={"description": "Bearer"})
    username = fields.String()
    sub = fields.String()
    sid = fields.String(metadata={"description": "The id of the session."})
    jti = fields.String()
    iss = fields.String()
    aud = fields.String()
    iat = fields.Integer()
    exp = fields.Integer()
    client_id = fields.String()
    auth_time = fields.Integer(metadata={"description": "When the user authenticated."})
    amr = fields.List(fields.String(), metadata={"description": "The methods (RFC 8176)."})
    acr = fields.String(metadata={"description": "aal1: one factor (NIST SP 800-63B)."})
    roles = fields.List(fields.String())
    external_id = fields.String(
        metadata={"description": "Only of an imported account: its key elsewhere."}
    )


class ForwardAuthSchema(RequestSchema):
    """The query of a proxy.

    An unknown parameter may be a misspelt role, so it is refused.
    """

    role = RoleName(description="A role that the user needs.")


class IdempotencySchema(Schema):
    """The headers of a refresh."""

    idempotency_key = String(
        data_key="Idempotency-Key",
        load_default=lambda: None,  # a function, so that the document has no default of null
        validate=validate.Regexp(r"^[\x21-\x7e]{8,128}$", error=INVALID_KEY),
        metadata={
            "description": "8 to 128 visible ASCII characters. Repeat it after a lost response."
        },
    )


class RefreshResultSchema(CookieTokensSchema):
    """The response to a refresh: the pair, or the members of cookie mode."""

    access = fields.String(metadata={"description": ACCESS_TOKEN})
    refresh = fields.String(metadata={"description": REFRESH_TOKEN})
