"""Schemas of the export: everything that is stored about an account."""

from marshmallow import Schema, fields

from pycoder.auth.schemas.accounts import EventSchema, UserSchema
from pycoder.auth.schemas.factors import PasskeySchema, TotpSchema
from pycoder.auth.schemas.sessions import SessionSchema


class ExportedSessionSchema(SessionSchema):
    """A session, active or ended."""

    transport = fields.String(required=True)
    authenticated_at = fields.DateTime("iso", required=True)
    amr = fields.String(required=True, metadata={"description": "The methods (RFC 8176)."})
    rotated_at = fields.DateTime("iso", required=True, allow_none=True)
    ended_at = fields.DateTime("iso", required=True, allow_none=True, attribute="revoked_at")


class DeviceSchema(Schema):
    """A device that the account has signed in on, without its id."""

    created_at = fields.DateTime("iso", required=True)
    last_used_at = fields.DateTime("iso", required=True)
    remembered_until = fields.DateTime(
        "iso",
        required=True,
        allow_none=True,
        metadata={"description": "Until when its logins need no second factor."},
    )


class RecoveryCodeSchema(Schema):
    """A recovery code that was not used, without the code."""

    created_at = fields.DateTime("iso", required=True)


class ExportedPasskeySchema(PasskeySchema):
    """A passkey, with everything that is stored about it but its public key."""

    credential_id = fields.String(required=True)
    rp_id = fields.String(required=True)
    aaguid = fields.String(required=True, metadata={"description": "The kind of authenticator."})
    transports = fields.List(fields.String(), required=True)
    backup_eligible = fields.Boolean(required=True)
    sign_count = fields.Integer(required=True)


class ExportedEventSchema(EventSchema):
    """A security event, with everything that is stored about it."""

    reason = fields.String(required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)


class PendingLinkSchema(Schema):
    """A valid mailed link, without its secret."""

    purpose = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    expires_at = fields.DateTime("iso", required=True)


class PendingAuthenticationSchema(Schema):
    """A valid proof, without its value."""

    kind = fields.String(required=True)
    expires_at = fields.DateTime("iso", required=True)


class WaitingMailSchema(Schema):
    """A queued mail, and the client that caused it."""

    template = fields.String(required=True)
    to = fields.String(required=True)
    created_at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True, attribute="client.ip")
    user_agent = fields.String(required=True, allow_none=True, attribute="client.user_agent")
    numbers = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "The numbers in its text."},
    )


class ExportSchema(Schema):
    """Everything that is stored about an account."""

    user = fields.Nested(UserSchema, required=True)
    sessions = fields.List(fields.Nested(ExportedSessionSchema), required=True)
    devices = fields.List(fields.Nested(DeviceSchema), required=True)
    totp = fields.Nested(TotpSchema, required=True, allow_none=True)
    recovery_codes = fields.List(fields.Nested(RecoveryCodeSchema), required=True)
    passkeys = fields.List(fields.Nested(ExportedPasskeySchema), required=True)
    events = fields.List(fields.Nested(ExportedEventSchema), required=True)
    links = fields.List(fields.Nested(PendingLinkSchema), required=True)
    pending_authentications = fields.List(fields.Nested(PendingAuthenticationSchema), required=True)
    mails = fields.List(fields.Nested(WaitingMailSchema), required=True)
