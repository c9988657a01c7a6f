"""Fields and base classes of the request and response schemas."""

import unicodedata
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate

from pycoder.accounts.identifiers import trim_identifier
from pycoder.accounts.roles import INVALID_ROLE
from pycoder.errors import FieldError
from pycoder.models.role import ROLE_NAME
from pycoder.models.user import EMAIL_LENGTH
from pycoder.passwords.policy import MAXIMUM_INPUT

REQUIRED = FieldError("required", "This field is required.")
NOT_A_STRING = FieldError("not_a_string", "Not a valid string.")
UNKNOWN_FIELD = FieldError("unknown_field", "Unknown field.")
NOT_AN_OBJECT = FieldError("not_an_object", "Send a JSON object.")
CONTROL_CHARACTERS = FieldError("invalid_characters", "Control characters are not allowed.")
NOT_A_BOOLEAN = FieldError("not_a_boolean", "Use true or false.")
NUL = FieldError("invalid_characters", "NUL is not allowed.")
NOT_A_TRANSPORT = FieldError(
    "not_a_choice", "Must be one of: body, cookie.", choices=["body", "cookie"]
)


class RequestSchema(Schema):
    """A request body.

    Unknown fields are rejected. A ``null`` counts as left out where the field is optional, except
    for a password.
    """

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": UNKNOWN_FIELD, "type": NOT_AN_OBJECT}

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Document where ``null`` is accepted."""
        field_obj.allow_none = not field_obj.required and not isinstance(field_obj, Password)

    @pre_load
    def drop_nulls(self, data: Any, **kwargs: Any) -> Any:
        """Leave out each field that is ``null``, so that its default applies."""
        if not isinstance(data, dict):
            return data
        nullable = {name for name, field in self.fields.items() if field.allow_none}
        return {n: value for n, value in data.items() if value is not None or n not in nullable}


class String(fields.String):
    """A string whose errors have codes."""

    default_error_messages = {"required": REQUIRED, "null": REQUIRED, "invalid": NOT_A_STRING}


def at_most(longest: int) -> validate.Length:
    """Return a validator of the length of a string."""
    error = FieldError("too_long", f"Use at most {longest} characters.", maximum=longest)
    return validate.Length(max=longest, error=error)


class Text(String):
    """A string in NFC without control characters, of at most ``longest`` characters."""

    def __init__(self, *, longest: int, **kwargs: Any):
        super().__init__(validate=at_most(longest), **kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise ValidationError([CONTROL_CHARACTERS])
        return unicodedata.normalize("NFC", text) if len(text) <= self.longest else text


class Identifier(Text):
    """An e-mail address or username, without white space around it."""

    def __init__(self, **kwargs: Any):
        super().__init__(longest=EMAIL_LENGTH, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = trim_identifier(value) if isinstance(value, str) else value
        return super()._deserialize(text, *args, **kwargs)


class TrueOrFalse(fields.Boolean):
    """A boolean. No string or number is one, unless ``truthy`` and ``falsy`` say so."""

    default_error_messages = {"invalid": NOT_A_BOOLEAN, "null": NOT_A_BOOLEAN}
    truthy, falsy = {True}, {False}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, (bool, str)):  # 1 == True
            raise ValidationError([NOT_A_BOOLEAN])
        return super()._deserialize(value, *args, **kwargs)


class RoleName(String):
    """The name of a role in a query, or ``None``."""

    def __init__(self, *, description: str):
        super().__init__(
            load_default=lambda: None,  # a function, so that the document has no default of null
            validate=validate.Regexp(ROLE_NAME, error=INVALID_ROLE),
            metadata={
                "description": description,
                "pattern": r"^[a-z][a-z0-9_.-]{0,39}$",  # JSON Schema has no \Z
            },
        )


class Secret(String):
    """A password or token: not normalized, of bounded length, and only in requests."""

    def __init__(self, *, longest: int, required: bool = True, **kwargs: Any):
        length = [validate.Length(min=1, error=REQUIRED), at_most(longest)]
        super().__init__(required=required, load_only=True, validate=length, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        if "\0" in text:
            raise ValidationError([NUL])
        return text


class Password(Secret):
    """A password."""

    def __init__(self, **kwargs: Any):
        super().__init__(longest=MAXIMUM_INPUT, **kwargs)


class Token(Secret):
    """A token."""

    def __init__(self, **kwargs: Any):
        super().__init__(longest=4096, **kwargs)


class AnyToken(String):
    """A token to end, for which text that is no token is no error (RFC 7009 §2.2)."""

    def __init__(self, **kwargs: Any):
        super().__init__(load_only=True, **kwargs)


class EmptySchema(Schema):
    """An empty object."""


class TransportSchema(RequestSchema):
    """The base of requests that create a session. It adds ``transport``."""

    transport = String(
        load_default="body",
        validate=validate.OneOf(["body", "cookie"], error=NOT_A_TRANSPORT),
        metadata={
            "description": "How the session transports its tokens. It cannot be changed later."
        },
    )
