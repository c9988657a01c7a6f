"""Check the values of a user, and return the row of an account."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from pycoder.accounts.identifiers import (
    is_number,
    is_valid_username,
    name_errors,
    normalize_email,
    suggest_usernames,
    trim_identifier,
)
from pycoder.clock import now
from pycoder.errors import InvalidInput
from pycoder.models.role import ROLE_NAME
from pycoder.models.user import EXTERNAL_ID_LENGTH, normalize_identifier
from pycoder.passwords.foreign import missing_package
from pycoder.passwords.hashing import NO_PASSWORD, unsupported_hash_reason

MAXIMUM_ID = 2**53 - 1  # the largest integer that every JSON parser preserves
DIGITS = re.compile(r"[0-9]{1,18}")


class _UserSchema(Schema):
    class Meta:
        unknown = RAISE

    id = fields.Integer(strict=True, validate=validate.Range(1, MAXIMUM_ID))
    external_id = fields.String(
        validate=[
            validate.Length(max=EXTERNAL_ID_LENGTH),
            validate.Predicate("isprintable", error="Not printable."),
        ]
    )
    email = fields.String(required=True, validate=validate.Length(max=254))
    username = fields.String(load_default="", validate=validate.Length(max=254))
    first_name = fields.String(load_default="")
    last_name = fields.String(load_default="")
    is_active = fields.Boolean(load_default=True)
    email_verified = fields.Boolean(load_default=False)
    date_joined = fields.AwareDateTime("iso", default_timezone=UTC)
    password = fields.String(load_default=NO_PASSWORD)
    roles = fields.List(fields.String(validate=validate.Regexp(ROLE_NAME)), load_default=[])


_SCHEMA = _UserSchema()
COLUMNS = frozenset(_SCHEMA.fields)


@dataclass(eq=False, slots=True)
class Candidate:
    """An account that may be added.

    ``identity`` is the column by which a repeated import recognizes it, and ``compared`` are those
    in which the account must then be equal. ``usernames`` are alternatives to a username that was
    made from the address, and empty otherwise. ``notes`` say what is not taken over.
    """

    row: dict[str, Any]
    roles: list[str]
    identity: str
    compared: Sequence[str]
    usernames: Iterator[str]
    notes: dict[str, Sequence[str]]


def check_user(values: dict[str, Any], *, id_is_needed: bool = True) -> Candidate:
    """Return the account of a user's values. Raises ``InvalidInput``.

    Usernames of one or two characters are accepted, because Django allows them. One of digits alone
    gets a ``_``, so that it is no id. An unknown password hash is left out.
    """
    values = _with_typed_ids(values)
    row = _load(values)
    notes: dict[str, Sequence[str]] = {}
    is_derived = _set_username(row, notes)
    row["password_hash"] = _take_hash(row.pop("password"), notes)
    identity = "id" if "id" in row else "external_id" if "external_id" in row else "email_key"
    if identity == "email_key" and id_is_needed:
        raise InvalidInput({"id": ["Missing data for required field."]})
    row.setdefault("external_id", None)
    for name in ("email", "username"):
        row[f"{name}_key"] = normalize_identifier(row[name])
    return Candidate(
        roles=row.pop("roles"),
        row=row,
        identity=identity,
        compared=_compared(values, is_derived) if identity == "id" else (),
        usernames=suggest_usernames(row["email"]) if is_derived else iter(()),
        notes=notes,
    )


def _compared(values: dict[str, Any], is_derived: bool) -> list[str]:
    """Return the columns by which an id is known to be that of the same account."""
    given = ["email_key"] if is_derived else ["email_key", "username_key"]
    return [*given, "date_joined"] if "date_joined" in values else given


def _with_typed_ids(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with an id of digits as a number.

    Any other text is an external id. Roles in one text, as in CSV, are separated by commas.
    """
    key, roles = values.get("id"), values.get("roles")
    if isinstance(key, str):
        values = {name: value for name, value in values.items() if name != "id"}
        name, key = ("id", int(key)) if DIGITS.fullmatch(key) else ("external_id", key)
        values.setdefault(name, key)
    if isinstance(roles, str):
        values = values | {"roles": [role for role in roles.split(",") if role]}
    return values


def _load(values: dict[str, Any]) -> dict[str, Any]:
    """Return values in the form in which they are stored. Raises ``InvalidInput``."""
    try:
        row: dict[str, Any] = _SCHEMA.load(values)
        row["date_joined"] = row.get("date_joined", now()).astimezone(UTC)
    except ValidationError as invalid:
        raise InvalidInput(invalid.messages_dict) from None
    except OverflowError:
        raise InvalidInput({"date_joined": ["Not a valid datetime."]}) from None
    for name in ("username", "first_name", "last_name"):
        row[name] = unicodedata.normalize("NFC", row[name])
    if errors := name_errors({name: row[name] for name in ("first_name", "last_name")}):
        raise InvalidInput(errors)
    row["email"] = normalize_email(row["email"])
    return row


def _set_username(row: dict[str, Any], notes: dict[str, Sequence[str]]) -> bool:
    """Set a valid username, and return whether it was derived from the address."""
    username = trim_identifier(row["username"])
    row["username"] = username + ("_" if is_number(username) else "")
    if username and is_valid_username(row["username"].ljust(3, "_"), row["email"]):
        return False
    row["username"] = next(suggest_usernames(row["email"]))
    if username:
        notes["username"] = ["It is invalid here, and was derived from the e-mail address."]
    return True


def _take_hash(hashed: str, notes: dict[str, Sequence[str]]) -> str:
    """Return a password hash as it is stored.

    Raises ``InvalidInput`` if it could be verified, but for a package.
    """
    if hashed.startswith(NO_PASSWORD):  # as Django marks an unusable password
        return NO_PASSWORD
    if reason := unsupported_hash_reason(hashed):
        notes["password"] = [reason]
        return NO_PASSWORD
    if package := missing_package(hashed):
        reason = f"Verifying this hash needs the package {package}, which is not installed."
        raise InvalidInput({"password": [reason]})
    return hashed
