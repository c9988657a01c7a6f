"""Schemas of second factors and of the second step of a login."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from pycoder.auth.schemas.base import (
    REQUIRED,
    RequestSchema,
    Secret,
    Text,
    Token,
    TransportSchema,
    TrueOrFalse,
)
from pycoder.errors import FieldError

ONE_FACTOR = FieldError("not_one", "Send one second factor: code, recovery_code or passkey.")


NOT_A_PASSKEY = FieldError("not_a_passkey", "Send the ticket and the credential of a passkey.")
NOT_A_CREDENTIAL = FieldError("not_an_object", "Send the JSON of a PublicKeyCredential.")
CREDENTIAL = "The result of toJSON() of a PublicKeyCredential."


class Credential(fields.Dict):
    """A credential, as browsers write it. It is verified by the use case."""

    default_error_messages = {
        "required": REQUIRED,
        "null": REQUIRED,
        "invalid": NOT_A_CREDENTIAL,
    }

    def __init__(self) -> None:
        super().__init__(keys=fields.String(), required=True, metadata={"description": CREDENTIAL})


class AssertionSchema(RequestSchema):
    """A signature of a passkey, for the ticket of POST /api/login/passkey/options/."""

    ticket = Token()
    credential = Credential()


class PasskeyField(fields.Nested):
    """An assertion in the body of another request."""

    default_error_messages = {
        "required": REQUIRED,
        "null": REQUIRED,
        "invalid": NOT_A_PASSKEY,
        "type": NOT_A_PASSKEY,
    }

    def __init__(self) -> None:
        super().__init__(AssertionSchema, required=False)

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(*args, **kwargs)
        except ValidationError:
            raise ValidationError([NOT_A_PASSKEY]) from None


class PasskeyLoginSchema(TransportSchema, AssertionSchema):
    """The body of a login by passkey."""


class FactorSchema(RequestSchema):
    """The base of requests with a second factor."""

    code = Secret(longest=64, required=False, metadata={"example": "123456"})
    recovery_code = Secret(longest=64, required=False)
    passkey = PasskeyField()

    @validates_schema
    def require_one_factor_at_most(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Reject several second factors, of which one would be ignored."""
        if len(factor_of(data)) > 1:
            raise ValidationError([ONE_FACTOR], "code")


def factor_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the second factor in a request body, or an empty dictionary."""
    return {name: body[name] for name in ("code", "recovery_code", "passkey") if name in body}


class SecondStepSchema(FactorSchema):
    """The body of the second step of a login."""

    ticket = Token(metadata={"description": "The ticket of the login."})
    remember_device = TrueOrFalse(
        load_default=False,
        metadata={"description": "Whether logins on this device need no second step for 30 days."},
    )

    @validates_schema
    def require_factor(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Require a second factor."""
        if not factor_of(data):
            raise ValidationError([REQUIRED], "code")


class TicketSchema(RequestSchema):
    """The body that begins an enrolment at a login."""

    ticket = Token(metadata={"description": "The ticket of the login."})


class CodeSchema(RequestSchema):
    """The body that confirms an authenticator app."""

    code = Secret(longest=64, metadata={"example": "123456"})


class OnlyProofSchema(RequestSchema):
    """The body of a change that needs a proof."""

    proof = Token(required=False)


class TotpSchema(Schema):
    """An authenticator app."""

    confirmed_at = fields.DateTime("iso", required=True, attribute="created_at")
    last_used_at = fields.DateTime("iso", required=True, allow_none=True)


class PasskeySchema(Schema):
    """A passkey."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    created_at = fields.DateTime("iso", required=True)
    last_used_at = fields.DateTime("iso", required=True, allow_none=True)
    synced = fields.Boolean(
        required=True,
        attribute="backed_up",
        metadata={"description": "Whether a provider keeps a copy of it for other devices."},
    )


class NewPasskeySchema(RequestSchema):
    """The body that adds a passkey."""

    ticket = Token(metadata={"description": "The ticket of POST /api/passkeys/options/."})
    credential = Credential()
    name = Text(longest=60, load_default="", metadata={"description": "Default: Passkey."})


class PasskeyNameSchema(OnlyProofSchema):
    """The body that renames a passkey."""

    name = Text(longest=60, required=True)


class PasskeyOptionsSchema(Schema):
    """A ticket, and the options for a browser (WebAuthn Level 3 §5.1.8, §5.1.9)."""

    ticket = fields.String(required=True)
    publicKey = fields.Dict(keys=fields.String(), required=True)  # noqa: N815 - of WebAuthn


class PasskeySignalsSchema(Schema):
    """The fields of signals to a browser (WebAuthn Level 3 §5.1.10)."""

    rpId = fields.String(required=True)  # noqa: N815
    userId = fields.String(required=True, metadata={"description": "In base64url."})  # noqa: N815
    name = fields.String(required=True)
    displayName = fields.String(required=True)  # noqa: N815
    allAcceptedCredentialIds = fields.List(fields.String(), required=True)  # noqa: N815


class AddedPasskeySchema(PasskeySchema):
    """A passkey that was added."""

    recovery_codes = fields.List(
        fields.String(),
        metadata={"description": "With the first factor of an account: shown once."},
    )


class FactorsSchema(Schema):
    """The second factors of an account."""

    totp = fields.Nested(TotpSchema, required=True, allow_none=True)
    recovery_codes_left = fields.Integer(required=True)
    passkeys = fields.List(fields.Nested(PasskeySchema), required=True)
    required = fields.Boolean(
        required=True, metadata={"description": "Whether a login requires a second factor."}
    )


class TotpSetupSchema(Schema):
    """The secret of an authenticator app."""

    secret = fields.String(required=True, metadata={"description": "In base32, to type it in."})
    otpauth_uri = fields.String(required=True)
    qr_svg = fields.String(required=True, metadata={"description": "The URI as a QR code, in SVG."})


class RecoveryCodesSchema(Schema):
    """Ten recovery codes, which are shown once."""

    recovery_codes = fields.List(fields.String(), required=True)
