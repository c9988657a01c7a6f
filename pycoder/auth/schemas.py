"""What comes in and what goes out. A schema judges form, never facts: no query in it."""

import unicodedata
from typing import Any

from marshmallow import (
    EXCLUDE,
    RAISE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)

from pycoder.passwords import LONGEST_INPUT
from pycoder.tokens import current_session


class WireSchema(Schema):
    """Takes what it names, and refuses the rest."""

    class Meta:
        unknown = RAISE


class Text(fields.String):
    """A string in NFC without control characters, of at most ``longest`` characters."""

    def __init__(self, *, longest: int, **kwargs: Any):
        super().__init__(validate=validate.Length(max=longest), **kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise ValidationError("Control characters are not allowed.")
        return unicodedata.normalize("NFC", text) if len(text) <= self.longest else text


class Secret(fields.String):
    """A password or token: taken as it is, bounded, and never sent back."""

    def __init__(self, *, longest: int = LONGEST_INPUT, required: bool = True, **kwargs: Any):
        length = validate.Length(1, longest)
        super().__init__(required=required, load_only=True, validate=length, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        if "\0" in text:
            raise ValidationError("NUL is not allowed.")
        return text


class Token(Secret):
    def __init__(self, **kwargs: Any):
        super().__init__(longest=4096, **kwargs)


class TransportSchema(WireSchema):
    transport = fields.String(
        load_default="body",
        validate=validate.OneOf(["body", "cookie"]),
        metadata={"description": "How the tokens of the session travel, for as long as it lives."},
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


class RefreshSchema(WireSchema):
    refresh = Token(required=False, metadata={"description": "Unless it comes in its cookie."})


class VerifySchema(WireSchema):
    token = Token()


class RevokeSchema(WireSchema):
    """RFC 7009 §2.1: also as a form, and with whatever else an OAuth client library sends."""

    takes_forms = True

    class Meta:
        unknown = EXCLUDE

    token = Token()
    token_type_hint = Text(longest=100, load_only=True)


class IntrospectSchema(RevokeSchema):
    """RFC 7662 §2.1, read as a revocation is."""


class IntrospectedSchema(Schema):
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


class LogoutSchema(WireSchema):
    refresh = Token(required=False)


class RetrySchema(WireSchema):
    retry_key = fields.String(
        data_key="Idempotency-Key",
        load_default=lambda: None,  # a function stays out of the document, where null is wrong
        validate=validate.Regexp(r"^[\x21-\x7e]{8,128}$"),
        metadata={
            "description": "8 to 128 visible ASCII characters; again when an answer is lost."
        },
    )


class AnswerSchema(Schema):
    """Reads attributes, and does not try first whether the object is a mapping."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        return getattr(obj, attr, default)


class UserSchema(AnswerSchema):
    id = fields.Integer(required=True)
    email = fields.String(required=True)
    email_verified = fields.Boolean(required=True)
    username = fields.String(required=True)
    first_name = fields.String(required=True)
    last_name = fields.String(required=True)
    date_joined = fields.DateTime("iso", required=True)


class PairSchema(AnswerSchema):
    access = fields.String(required=True, metadata={"description": "For 60 minutes."})
    refresh = fields.String(required=True, metadata={"description": "For one use, in 7 days."})


class ByCookieSchema(Schema):
    """What a page has to know of a pair that came in cookies."""

    expires_in = fields.Integer(
        metadata={"description": "By cookie: seconds for which the access token is good."}
    )
    csrf_token = fields.String(
        metadata={
            "description": "By cookie: to send as X-CSRF-TOKEN, as long as the session lives."
        }
    )


class RefreshedSchema(ByCookieSchema):
    access = fields.String(metadata={"description": "For 60 minutes."})
    refresh = fields.String(metadata={"description": "For one use, in 7 days."})


class RenewedSchema(ByCookieSchema):
    tokens = fields.Nested(PairSchema)


class SignedInSchema(RenewedSchema):
    user = fields.Nested(UserSchema, required=True)


class NothingSchema(Schema):
    """``{}``"""


class SessionSchema(Schema):
    id = fields.UUID(required=True)
    created_at = fields.DateTime("iso", required=True)
    last_used_at = fields.DateTime("iso", required=True)
    expires_at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    current = fields.Function(
        lambda session: session.id == current_session().sid,
        required=True,
        metadata={"type": "boolean"},
    )


class EventSchema(Schema):
    event = fields.String(required=True)
    at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    session = fields.UUID(required=True, allow_none=True, attribute="session_id")


class ExportedSessionSchema(SessionSchema):
    transport = fields.String(required=True)
    rotated_at = fields.DateTime("iso", required=True, allow_none=True)
    ended_at = fields.DateTime("iso", required=True, allow_none=True, attribute="revoked_at")


class ExportedEventSchema(EventSchema):
    reason = fields.String(required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)


class PendingLinkSchema(Schema):
    purpose = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    expires_at = fields.DateTime("iso", required=True)


class WaitingMailSchema(Schema):
    template = fields.String(required=True)
    to = fields.String(required=True)
    created_at = fields.DateTime("iso", required=True)
    ip = fields.String(required=True, allow_none=True, attribute="client.ip")
    user_agent = fields.String(required=True, allow_none=True, attribute="client.user_agent")


class ExportSchema(Schema):
    user = fields.Nested(UserSchema, required=True)
    sessions = fields.List(fields.Nested(ExportedSessionSchema), required=True)
    events = fields.List(fields.Nested(ExportedEventSchema), required=True)
    links = fields.List(fields.Nested(PendingLinkSchema), required=True)
    mails = fields.List(fields.Nested(WaitingMailSchema), required=True)


class ProfileSchema(WireSchema):
    username = Text(longest=254)
    first_name = Text(longest=150)
    last_name = Text(longest=150)


class ProofSchema(WireSchema):
    password = Secret(
        required=False,
        metadata={"description": "Needed when the sign-in is older than five minutes."},
    )


class PasswordChangeSchema(WireSchema):
    current_password = Secret()
    new_password = Secret()


class ResetSchema(WireSchema):
    email = Text(longest=254, required=True, metadata={"example": "ada@example.com"})


class ResetConfirmSchema(WireSchema):
    token = Token(metadata={"description": "As it stands in the link, behind token=."})
    new_password = Secret()


class LinkSchema(WireSchema):
    token = Token(metadata={"description": "As it stands in the link, behind token=."})


class EmailChangeSchema(ProofSchema):
    email = Text(longest=254, required=True, metadata={"example": "ada@example.org"})
