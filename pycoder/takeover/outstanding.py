"""Import the list of the refresh tokens that are outstanding on the platform."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, NamedTuple

from sqlalchemy import ARRAY, func, literal, select

from pycoder import audit
from pycoder.audit import Event
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.errors import InvalidInput
from pycoder.extensions import db
from pycoder.models.takeover import TakeoverToken
from pycoder.strict_json import strict_loads
from pycoder.takeover.tokens import JTI, account_id

BATCH = 10_000  # lines of one transaction
MAXIMUM_LINE = 4096  # bytes
MEMBERS = {"jti", "user_id", "exp"}


class ImportResult(NamedTuple):
    """How many tokens of a batch are new or existed, and its bad lines with reasons."""

    added: int
    existing: int
    bad: list[tuple[int, str]]


def import_tokens(file: IO[bytes]) -> Iterator[ImportResult]:
    """Import the tokens of a file of JSON lines, and yield the result of each batch.

    A line has ``jti``, ``user_id`` and ``exp``, in seconds since 1970. A batch is a transaction, so
    that an import can be repeated.
    """
    lines = enumerate(_read_lines(file), 1)
    while batch := list(islice(lines, BATCH)):
        rows: dict[str, dict[str, Any]] = {}
        bad = []
        for number, line in batch:
            try:
                row = parse_token(line)
                rows[row["jti"]] = row
            except InvalidInput as invalid:
                errors = (invalid.errors or {}).items()
                bad.append((number, " ".join(f"{name}: {text}" for name, [text] in errors)))
        added = _insert(list(rows.values()))
        yield ImportResult(added, len(batch) - len(bad) - added, bad)


def _read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield each line. Of one that is too long, only the beginning is read at once."""
    while line := file.readline(MAXIMUM_LINE):
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(MAXIMUM_LINE)):
            line = b""  # which is no JSON
        yield line


def parse_token(line: bytes) -> dict[str, Any]:
    """Return the database row of a line. Raises ``InvalidInput``.

    A line with a token is refused, so that no copy of the table gets into a file.
    """
    try:
        values = strict_loads(line)
    except ValueError:
        raise InvalidInput({"line": ["This is not JSON in UTF-8."]}) from None
    if type(values) is not dict:
        raise InvalidInput({"line": ["This is not a JSON object."]})
    if "token" in values:
        raise InvalidInput({"token": ["Leave it out. Whoever reads the file could use it."]})
    if values.keys() != MEMBERS:
        raise InvalidInput({"line": ["It needs jti, user_id and exp, and nothing else."]})
    user_id, exp = account_id(values["user_id"]), values["exp"]
    if type(values["jti"]) is not str or not JTI.fullmatch(values["jti"]):
        raise InvalidInput({"jti": ["This is not the jti of a token."]})
    if user_id is None:
        raise InvalidInput(
            {
                "user_id": [
                    "This is no number, and the external_id of no account. Import the users first."
                ]
            }
        )
    if type(exp) is not int or not 0 <= exp < 2**33:
        raise InvalidInput({"exp": ["This is not a time in seconds since 1970."]})
    return {
        "jti": values["jti"],
        "user_id": user_id,
        "expires_at": datetime.fromtimestamp(exp, UTC),
    }


def _insert(rows: Sequence[dict[str, Any]]) -> int:
    """Insert a batch in one transaction, and return how many rows are new."""
    added = _insert_new(rows) if rows else 0
    if added:
        audit.record(Event.TAKEOVER_LISTED, reason=f"{added} tokens")
    db.session.commit()
    return added


def _insert_new(rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows that do not exist, and return their number.

    PostgreSQL receives each column as one array, which takes half as long as single values.
    """
    insert = insert_into(TakeoverToken)
    if db.engine.name == "sqlite":
        return db.session.connection().execute(insert.on_conflict_do_nothing(), rows).rowcount
    columns = TakeoverToken.__table__.columns
    arrays = [literal([row[each.name] for row in rows], ARRAY(each.type)) for each in columns]
    new = insert.from_select(columns, select(*map(func.unnest, arrays)))
    return execute_in_transaction(new.on_conflict_do_nothing())
