"""Every reason of an invalid field that the API reports has a stable code."""

import ast

from marshmallow import Schema

from pycoder.auth.schemas import accounts, base, sessions, tokens
from pycoder.errors import FieldError
from tests.support.constants import ROOT
from tests.support.parameters import table

CODE = ROOT / "pycoder"
# What these raise is shown on the command line only.
COMMANDS = {"accounts/administration.py", "keys/rotation.py", "tokens/introspection.py"}
COMMANDS |= {"takeover/configuration.py", "takeover/outstanding.py"}
COMMANDS |= {str(path.relative_to(CODE)) for path in CODE.glob("accounts/transfer/*.py")}
REQUESTS = (base.RequestSchema, tokens.IdempotencySchema)
SCHEMAS = {
    name: schema
    for module in (accounts, base, sessions, tokens)
    for name, schema in vars(module).items()
    if isinstance(schema, type) and issubclass(schema, REQUESTS)
}


@table(SCHEMAS)
def test_every_message_of_a_request_schema_has_a_code(case):
    if issubclass(case, base.RequestSchema):
        assert {type(text) for text in case().error_messages.values()} == {FieldError}
    for name, field in case().fields.items():
        for key in ("required", "null", "invalid"):
            assert isinstance(field.error_messages[key], FieldError), name
        for validator in field.validators:
            assert isinstance(validator.error, FieldError), (name, validator)


def reasons(tree):
    """Yield what is passed to ``InvalidInput`` and ``ValidationError``, without field names."""
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", "")
        if name == "ValidationError":
            yield node.args[0]
        elif name == "InvalidInput" and isinstance(node.args[0], ast.Dict):
            yield from node.args[0].values


def test_no_reason_of_the_api_is_a_plain_string():
    paths = [path for path in CODE.rglob("*.py") if str(path.relative_to(CODE)) not in COMMANDS]
    for path in paths:
        for reason in reasons(ast.parse(path.read_text())):
            plain = [n for n in ast.walk(reason) if isinstance(n, (ast.JoinedStr, ast.Constant))]
            assert not plain, (path, ast.unparse(reason))


def test_a_field_error_is_its_sentence_whatever_formats_it():
    error = FieldError("too_short", "Use at least {min} characters.", minimum=8)
    assert error == error.format(min=1) == "Use at least {min} characters."
    assert error.format(min=1).parameters == {"minimum": 8}


def test_a_schema_without_codes_would_be_noticed():
    assert not isinstance(Schema().error_messages["unknown"], FieldError)
