"""Translate the users that other systems export to PyCoder's columns.

Roles are not taken from other systems, where ``admin`` can mean anything.
"""

import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pycoder.accounts.transfer.columns import ColumnMap
from pycoder.errors import InvalidInput
from pycoder.passwords import foreign
from pycoder.strict_json import strict_loads

UNKNOWN_HASH = "unknown"  # a password that cannot be taken over
PARAMETER = re.compile(r"(\w+)[\"']?\s*[:=]\s*[\"']?([\w+/=-]+)")

Values = dict[str, Any]


class Source(NamedTuple):
    """How a system exports its users.

    ``member`` holds the array of users in a file that is one object. ``translate`` returns the
    values of a user by PyCoder's columns, or ``None`` for an object that is no user.
    """

    translate: Callable[[Values], Values | None]
    member: str | None = None


class FirebaseParameters(NamedTuple):
    """The parameters by which Firebase hashes the passwords of a project."""

    signer_key: bytes
    salt_separator: bytes
    rounds: int
    mem_cost: int


def parse_firebase_parameters(text: str) -> FirebaseParameters:
    """Parse the parameters, as the Firebase console shows them or as JSON.

    Raises ``InvalidInput``.
    """
    found = dict(PARAMETER.findall(text))
    try:
        key, separator = (
            b64decode(found[f"base64_{name}"], validate=True)
            for name in ("signer_key", "salt_separator")
        )
        return FirebaseParameters(key, separator, int(found["rounds"]), int(found["mem_cost"]))
    except (KeyError, ValueError):
        names = "base64_signer_key, base64_salt_separator, rounds and mem_cost"
        raise InvalidInput({"firebase-parameters": [f"The file must contain {names}."]}) from None


def django_source(columns: ColumnMap) -> Source:
    """Return the source of JSON of Django's serializers, or of ``flask users export``.

    The user's model is the one with a password, and an address or username. A dump can contain
    other models.
    """

    def translate(values: Values) -> Values | None:
        fields = values.get("fields")
        if not isinstance(fields, dict):
            return values
        password, *names = map(columns.source_of, ("password", "email", "username"))
        is_user = password in fields and any(name in fields for name in names)
        return {"id": values.get("pk")} | fields if is_user else None

    return Source(translate)


def keycloak_source() -> Source:
    """Return the source of a realm's export."""

    def translate(values: Values) -> Values | None:
        if "serviceAccountClientId" in values:
            return None
        return {
            "external_id": values.get("id"),
            "email": values.get("email"),
            "username": values.get("username"),
            "first_name": values.get("firstName"),
            "last_name": values.get("lastName"),
            "is_active": values.get("enabled"),
            "email_verified": values.get("emailVerified"),
            "date_joined": _time_of(values.get("createdTimestamp")),
            "password": _convert(_keycloak_password, values.get("credentials") or []),
        }

    return Source(translate, member="users")


def _keycloak_password(credentials: Any) -> str:
    passwords = [one for one in credentials if one["type"] == "password"]
    if not passwords:
        return ""
    secret = strict_loads(passwords[0]["secretData"])
    data = strict_loads(passwords[0]["credentialData"])
    salt, key = b64decode(secret["salt"]), b64decode(secret["value"])
    if data["algorithm"] == "argon2":
        more = {name: value[0] for name, value in data["additionalParameters"].items()}
        if more["version"] != "1.3":
            raise ValueError("another version")
        costs = int(more["memory"]), int(data["hashIterations"]), int(more["parallelism"])
        return foreign.format_argon2(more["type"], costs, salt, key)
    digest = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}
    return foreign.format_pbkdf2(digest[data["algorithm"]], int(data["hashIterations"]), salt, key)


def auth0_source() -> Source:
    """Return the source of an Auth0 export of users, or of their password hashes."""

    def translate(values: Values) -> Values | None:
        oid = _member(values.get("_id"), "$oid")
        custom = values.get("custom_password_hash") or {}
        return {
            "external_id": values.get("user_id") or (f"auth0|{oid}" if oid else None),
            "email": values.get("email"),
            "username": values.get("username"),
            "first_name": values.get("given_name"),
            "last_name": values.get("family_name"),
            "is_active": _opposite(values.get("blocked")),
            "email_verified": values.get("email_verified"),
            "date_joined": _member(values.get("created_at"), "$date"),
            "password": values.get("passwordHash")
            or values.get("password_hash")
            or _convert(_auth0_password, custom),
        }

    return Source(translate)


def _auth0_password(custom: Any) -> str:
    """Return the hash in ``custom_password_hash`` of Auth0's bulk import."""
    if not custom:
        return ""
    value, algorithm = custom["hash"]["value"], custom["algorithm"]
    if algorithm in ("bcrypt", "argon2"):
        return str(value)
    if algorithm == "pbkdf2":  # as the PHC formats it
        _, kind, costs, salt, key = value.split("$")
        rounds = int(dict(cost.split("=") for cost in costs.split(","))["i"])
        parts = (b64decode(part + "=" * (-len(part) % 4)) for part in (salt, key))
        return foreign.format_pbkdf2(kind.removeprefix("pbkdf2-"), rounds, *parts)
    if algorithm != "scrypt":
        raise ValueError("unknown algorithm")
    costs = custom["cost"], custom["blockSize"], custom["parallelization"]
    return foreign.format_scrypt(costs, *(_decode(custom[name]) for name in ("salt", "hash")))


def _decode(part: Any) -> bytes:
    """Return the bytes of a salt or hash of Auth0."""
    decoders = {"hex": bytes.fromhex, "base64": b64decode, "utf8": str.encode}
    return decoders[part.get("encoding", "utf8")](part["value"])


def firebase_source(parameters: FirebaseParameters) -> Source:
    """Return the source of ``firebase auth:export`` in JSON."""

    def password(values: Any) -> str:
        if not values.get("passwordHash"):
            return ""
        hashed, salt = (_any_b64(values[name]) for name in ("passwordHash", "salt"))
        return foreign.format_firebase(
            (parameters.mem_cost, parameters.rounds),
            salt + parameters.salt_separator,
            parameters.signer_key,
            hashed,
        )

    def translate(values: Values) -> Values | None:
        return {
            "external_id": values.get("localId"),
            "email": values.get("email"),
            "first_name": values.get("displayName"),
            "is_active": _opposite(values.get("disabled")),
            "email_verified": values.get("emailVerified"),
            "date_joined": _time_of(values.get("createdAt")),
            "password": _convert(password, values),
        }

    return Source(translate, member="users")


def _convert(function: Callable[[Any], str], values: Any) -> str:
    """Return a password hash, or ``UNKNOWN_HASH`` if it has an unexpected form."""
    try:
        return function(values)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return UNKNOWN_HASH


def _member(value: Any, name: str) -> Any:
    """Return a member of an object, or the value itself if it is none."""
    return value.get(name) if isinstance(value, dict) else value


def _opposite(value: Any) -> Any:
    """Return the opposite of a boolean. Anything else stays invalid."""
    return not value if isinstance(value, bool) else value if value is None else [value]


def _time_of(milliseconds: Any) -> Any:
    """Return the time of milliseconds since 1970, and anything else as it is."""
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).isoformat()
    except (ArithmeticError, OSError, TypeError, ValueError):
        return milliseconds


def _any_b64(text: str) -> bytes:
    """Decode base64 of either alphabet."""
    return urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
