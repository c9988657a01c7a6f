"""Import accounts from another system, and export them."""

import csv
import re
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import IO, Any, NamedTuple

from marshmallow import RAISE, Schema, ValidationError, fields, validate
from sqlalchemy import select, text

from pycoder import audit
from pycoder.accounts import administration
from pycoder.accounts.identifiers import (
    is_number,
    is_valid_username,
    name_errors,
    normalize_email,
    trim_identifier,
)
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import insert_into
from pycoder.errors import InvalidInput
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.role import ROLE_NAME, UserRole
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD, unsupported_hash_reason
from pycoder.strict_json import strict_loads

BATCH = 1000
MAXIMUM_LINE = 64 * 1024  # bytes
MAXIMUM_ID = 2**53 - 1  # the largest integer that every JSON parser preserves
IGNORED_COLUMNS = {"last_login", "is_staff", "is_superuser", "groups", "user_permissions"}


class ImportResult(NamedTuple):
    """The result of a line: ``added``, ``existing`` or ``bad``, and the reason."""

    line: int
    status: str
    reason: str = ""


class _UserSchema(Schema):
    class Meta:
        unknown = RAISE

    id = fields.Integer(required=True, strict=True, validate=validate.Range(1, MAXIMUM_ID))
    email = fields.String(required=True, validate=validate.Length(max=254))
    username = fields.String(required=True, validate=validate.Length(max=254))
    first_name = fields.String(load_default="")
    last_name = fields.String(load_default="")
    is_active = fields.Boolean(load_default=True)
    email_verified = fields.Boolean(load_default=False)
    date_joined = fields.AwareDateTime("iso", required=True, default_timezone=UTC)
    password = fields.String(load_default=NO_PASSWORD)
    roles = fields.List(fields.String(validate=validate.Regexp(ROLE_NAME)), load_default=[])


_SCHEMA = _UserSchema()


def import_users(file: IO[bytes], *, as_csv: bool) -> Iterator[ImportResult]:
    """Import the users of a file, and yield the result of each line.

    The file contains JSON lines, as ``dumpdata --format jsonl`` or ``flask users export`` write
    them, or CSV with a header. The names are those of Django's columns. Each batch is a
    transaction, so that an import can be repeated after a fault. Raises ``InvalidInput`` for an
    invalid header.
    """
    batch: dict[int, tuple[int, dict[str, Any]]] = {}
    lines = _read_lines(file)
    header = _read_header(lines) if as_csv else None
    for number, line in lines:
        try:
            user = parse_user(_parse_line(line, header))
        except InvalidInput as invalid:
            yield ImportResult(number, "bad", _format_errors(invalid.errors or {}))
            continue
        if len(batch) == BATCH or user["id"] in batch:
            yield from _insert_batch(batch)
            batch = {}
        batch[user["id"]] = number, user
    if batch:
        yield from _insert_batch(batch)


def _read_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines with their numbers. An overlong one is truncated."""
    number = 0
    while line := file.readline(MAXIMUM_LINE + 1):
        number += 1
        rest = line
        while len(rest) > MAXIMUM_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAXIMUM_LINE + 1)
        if len(line) > MAXIMUM_LINE:
            yield number, line
        elif line.strip():
            yield number, line.removeprefix(BOM_UTF8).rstrip(b"\r\n")


def _read_header(lines: Iterator[tuple[int, bytes]]) -> list[str]:
    """Return the column names of a CSV file. Raises ``InvalidInput``."""
    _, first = next(lines, (0, b""))
    header = _parse_cells(first)
    required = {name for name, field in _SCHEMA.fields.items() if field.required}
    if missing := required - set(header):
        raise InvalidInput({"header": [f"Missing columns: {', '.join(sorted(missing))}."]})
    if len(header) != len(set(header)):
        raise InvalidInput({"header": ["A column name is repeated."]})
    if unknown := set(header) - set(_SCHEMA.fields) - IGNORED_COLUMNS:
        names = ", ".join(map(ascii, sorted(unknown)))
        raise InvalidInput({"header": [f"Unknown columns: {names}."]})
    return header


def _parse_cells(line: bytes) -> list[str]:
    """Return the cells of a line of CSV. Raises ``InvalidInput``.

    A record cannot span lines, so that an unclosed quote affects only its own line.
    """
    try:
        return next(csv.reader([line.decode()], strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        raise InvalidInput({"line": ["This is not CSV in UTF-8."]}) from None


def _parse_line(line: bytes, header: list[str] | None) -> dict[str, Any]:
    """Return the values of a line by column, without empty and ignored ones."""
    if len(line) > MAXIMUM_LINE:
        raise InvalidInput({"line": [f"This is longer than {MAXIMUM_LINE} bytes."]})
    values = _parse_json(line) if header is None else _parse_csv(line, header)
    return {
        name: value
        for name, value in values.items()
        if name not in IGNORED_COLUMNS and value is not None and value != ""
    }


def _parse_csv(line: bytes, header: list[str]) -> dict[str, Any]:
    """Return the values of a line of CSV. Raises ``InvalidInput``."""
    cells = _parse_cells(line)
    if len(cells) != len(header):
        raise InvalidInput({"line": [f"This has {len(cells)} cells, the header {len(header)}."]})
    values: dict[str, Any] = dict(zip(header, cells, strict=True))
    if re.fullmatch(r"[0-9]{1,18}", values["id"]):
        values["id"] = int(values["id"])
    if "roles" in values:
        values["roles"] = [role for role in values["roles"].split(",") if role]
    return values


def _parse_json(line: bytes) -> dict[str, Any]:
    """Return the values of a line of JSON.

    The object is flat, or in the format of Django's serializers. Raises ``InvalidInput``.
    """
    try:
        values = strict_loads(line)
    except ValueError:
        raise InvalidInput({"line": ["This is not JSON in UTF-8."]}) from None
    if isinstance(values, dict) and isinstance(values.get("fields"), dict):
        values = {"id": values.get("pk")} | values["fields"]
    if not isinstance(values, dict):
        raise InvalidInput({"line": ["This is not a JSON object."]})
    return values


def parse_user(values: dict[str, Any]) -> dict[str, Any]:
    """Return the database row of a user. Raises ``InvalidInput``.

    Usernames of one or two characters are accepted, because Django allows them. One of digits alone
    gets a ``_``, so that it is no id.
    """
    try:
        row: dict[str, Any] = _SCHEMA.load(values)
        row["date_joined"] = row["date_joined"].astimezone(UTC)
    except ValidationError as invalid:
        raise InvalidInput(invalid.messages_dict) from None
    except OverflowError:
        raise InvalidInput({"date_joined": ["Not a valid datetime."]}) from None
    for name in ("username", "first_name", "last_name"):
        row[name] = unicodedata.normalize("NFC", row[name])
    row["username"] = trim_identifier(row["username"])
    row["username"] += "_" if is_number(row["username"]) else ""
    if errors := name_errors({name: row[name] for name in ("first_name", "last_name")}):
        raise InvalidInput(errors)
    row["email"] = normalize_email(row["email"])
    if not is_valid_username(row["username"].ljust(3, "_"), row["email"]):
        raise InvalidInput(
            {"username": ["Only letters, digits and . + - _ or the own e-mail address."]}
        )
    hashed = row.pop("password")
    if hashed.startswith(NO_PASSWORD):  # as Django marks an unusable password
        hashed = NO_PASSWORD
    elif reason := unsupported_hash_reason(hashed):
        raise InvalidInput({"password": [reason]})
    keys = {f"{name}_key": normalize_identifier(row[name]) for name in ("email", "username")}
    return row | keys | {"password_hash": hashed}


def _insert_batch(batch: dict[int, tuple[int, dict[str, Any]]]) -> Iterator[ImportResult]:
    """Insert a batch in one transaction, and yield the result of each line.

    The unique indexes decide which rows are new.
    """
    deleted = _deleted_accounts(batch)
    rows = [row for user_id, (_, row) in batch.items() if user_id not in deleted]
    added: set[int] = set()
    if rows:
        _advance_id_sequence(max(batch))
        insert = insert_into(User).on_conflict_do_nothing().returning(User.id)
        roles = {row["id"]: row.pop("roles") for row in rows}
        added = set(db.session.connection().execute(insert, rows).scalars())
        _insert_roles({user_id: roles[user_id] for user_id in added})
    reasons = deleted | _conflicts([row for row in rows if row["id"] not in added])
    if added:
        audit.record(Event.USERS_IMPORTED, reason=f"{len(added)} users")
    db.session.commit()
    for user_id, (number, _) in batch.items():
        if user_id in reasons:
            yield ImportResult(number, "bad", reasons[user_id])
        else:
            yield ImportResult(number, "added" if user_id in added else "existing")


def _insert_roles(roles: dict[int, list[str]]) -> None:
    granted = [(user_id, role) for user_id, names in roles.items() for role in sorted({*names})]
    rows = [{"user_id": user_id, "role": role, "granted_at": now()} for user_id, role in granted]
    if rows:
        db.session.execute(insert_into(UserRole), rows)
        audit.record_all(Event.ROLE_GRANTED, granted)


def _deleted_accounts(ids: Any) -> dict[int, str]:
    """Return the reason by id for accounts that were deleted here.

    A repeated import does not restore them.
    """
    deletion = (AuditEvent.event == Event.USER_DELETED, AuditEvent.user_id.in_(ids))
    deleted = db.session.scalars(select(AuditEvent.user_id).where(*deletion))
    return {user_id: "id: This account was deleted here." for user_id in deleted if user_id}


def _advance_id_sequence(highest: int) -> None:
    """Advance PostgreSQL's id sequence past the highest id. SQLite does so by itself.

    It is advanced before the rows are inserted, so that a simultaneous registration gets no id of
    theirs.
    """
    if db.engine.name == "postgresql":
        db.session.execute(
            text(
                "SELECT setval(ids::regclass, :highest)"
                " FROM pg_get_serial_sequence('users', 'id') AS ids"
                " WHERE coalesce(pg_sequence_last_value(ids::regclass), 0) < :highest"
            ),
            {"highest": highest},
        )


def _conflicts(rows: list[dict[str, Any]]) -> dict[int, str]:
    """Return by id why rows were not added. An identical account is no conflict."""
    if not rows:
        return {}
    columns = (User.id, User.email_key, User.username_key, User.date_joined)
    equal = [column.in_([row[column.key] for row in rows]) for column in columns[:3]]
    existing = db.session.execute(select(*columns).where(equal[0] | equal[1] | equal[2])).all()
    identical = {tuple(user) for user in existing}
    taken = {
        "id": "It belongs to another account.",
        "email_key": "An account with this e-mail address exists already.",
        "username_key": "An account with this username exists already.",
    }
    reasons = {}
    for row in rows:
        if tuple(row[column.key] for column in columns) not in identical:
            errors = {
                name.removesuffix("_key"): [reason]
                for name, reason in taken.items()
                if any(getattr(user, name) == row[name] for user in existing)
            }
            changed = {"line": ["The accounts changed during the import. Import the file again."]}
            reasons[row["id"]] = _format_errors(errors or changed)
    return reasons


def _format_errors(errors: Mapping[str, Sequence[str]]) -> str:
    """Return errors as one line for a terminal.

    Unprintable characters are replaced, because the names of unknown fields come from the file.
    """
    line = " ".join(f"{field}: {' '.join(reasons)}" for field, reasons in errors.items())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:500]


def export_users(*, with_hashes: bool) -> Iterator[tuple[User, bool]]:
    """Record an export, and yield all users, each with whether it has a second factor."""
    reason = "with password hashes" if with_hashes else None
    audit.record(Event.USERS_EXPORTED, reason=reason)
    db.session.commit()
    yield from administration.list_users()
