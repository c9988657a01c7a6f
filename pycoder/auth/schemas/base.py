"""Fields and base classes of the request and response schemas."""

import unicodedata
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from pycoder.passwords.policy import MAXIMUM_INPUT


class RequestSchema(Schema):
    """A request body. Unknown fields are rejected."""

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
    """A password or token: not normalized, of bounded length, and only in requests."""

    def __init__(self, *, longest: int = MAXIMUM_INPUT, required: bool = True, **kwargs: Any):
        length = validate.Length(1, longest)
        super().__init__(required=required, load_only=True, validate=length, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        if "\0" in text:
            raise ValidationError("NUL is not allowed.")
        return text


class Token(Secret):
    """A token."""

    def __init__(self, **kwargs: Any):
        super().__init__(longest=4096, **kwargs)


class EmptySchema(Schema):
    """An empty object."""


class TransportSchema(RequestSchema):
    """The base of requests that create a session. It adds ``transport``."""

    transport = fields.String(
        load_default="body",
        validate=validate.OneOf(["body", "cookie"]),
        metadata={
            "description": "How the session transports its tokens. It cannot be changed later."
        },
    )
