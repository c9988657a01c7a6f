"""Schemas of accounts: registration, profile, passwords, e-mail addresses."""

from marshmallow import Schema, fields

from pycoder.auth.schemas.base import (
    Identifier,
    Password,
    RequestSchema,
    Text,
    Token,
    TransportSchema,
)
from pycoder.auth.schemas.factors import FactorSchema

LINK_TOKEN = "The value of token= in the fragment of the mailed link."


class RegisterSchema(TransportSchema):
    """The body of a registration."""

    email = Identifier(required=True, metadata={"example": "ada@example.com"})
    password = Password(metadata={"example": "correct horse battery staple"})
    password2 = Password(
        required=False,
        metadata={"description": "The password again. Optional; must equal password."},
    )
    username = Identifier(metadata={"description": "Default: derived from the e-mail address."})
    first_name = Text(longest=150)
    last_name = Text(longest=150)


class UserSchema(Schema):
    """A user, as its own account shows it."""

    id = fields.Integer(required=True)
    email = fields.String(required=True)
    email_verified = fields.Boolean(required=True)
    username = fields.String(required=True)
    first_name = fields.String(required=True)
    last_name = fields.String(required=True)
    date_joined = fields.DateTime("iso", required=True)
    roles = fields.List(fields.String(), required=True)
    external_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The key that an imported account had elsewhere, such as a UUID."},
    )


class EventSchema(Schema):
    """A security event of the user."""

    event = fields.String(required=True)
    at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    session = fields.UUID(required=True, allow_none=True, attribute="session_id")
    by_admin = fields.Boolean(
        required=True,
        metadata={"description": "Whether an administrator did it. Then ip is not shown."},
    )


class ProfileSchema(RequestSchema):
    """The changes to a profile."""

    username = Identifier()
    first_name = Text(longest=150)
    last_name = Text(longest=150)


class ReauthenticationSchema(FactorSchema):
    """The body of a reauthentication."""

    password = Password(required=False, metadata={"example": "correct horse battery staple"})


class CreatedProofSchema(Schema):
    """The response to a reauthentication."""

    proof = fields.String(
        required=True,
        metadata={"description": "Valid for the requests of this session that ask for it."},
    )
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds."})


class ProofFieldSchema(RequestSchema):
    """The base of requests that take a proof in place of the password."""

    proof = Token(
        required=False,
        metadata={"description": "From POST /api/reauthenticate/, in place of the password."},
    )


class ProofSchema(ProofFieldSchema):
    """The password or a proof, for a sensitive operation."""

    password = Password(
        required=False,
        metadata={"description": "Required without a proof."},
    )


class PasswordChangeSchema(ProofFieldSchema):
    """The body of a password change."""

    current_password = Password(
        required=False,
        metadata={"description": "Required without a proof."},
    )
    new_password = Password()


class ResetSchema(RequestSchema):
    """The body of a request for a password reset link."""

    email = Identifier(required=True, metadata={"example": "ada@example.com"})


class ResetConfirmSchema(RequestSchema):
    """The body of a password reset."""

    token = Token(metadata={"description": LINK_TOKEN})
    new_password = Password()


class LinkSchema(RequestSchema):
    """The token of a mailed link."""

    token = Token(metadata={"description": LINK_TOKEN})


class EmailChangeSchema(ProofSchema):
    """The body of a change of e-mail address."""

    email = Identifier(required=True, metadata={"example": "ada@example.org"})
