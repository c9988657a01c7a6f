"""Import the users of a file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from pycoder.accounts.identifiers import normalize_email, trim_identifier
from pycoder.accounts.transfer.columns import ColumnMap
from pycoder.accounts.transfer.reading import Record, read_csv, read_json
from pycoder.accounts.transfer.records import Candidate, check_user
from pycoder.accounts.transfer.sources import Source, django_source
from pycoder.accounts.transfer.writing import Database, DryRun
from pycoder.errors import InvalidInput

BATCH = 1000


class ImportResult(NamedTuple):
    """The result of a record.

    ``unit`` is what ``number`` counts: a ``line`` of the file, or a ``record`` of its array.
    ``status`` is ``added``, ``existing``, ``skipped``, ``ignored`` or ``bad``. ``reason`` says why
    it is bad, or what of an added user is not taken over.
    """

    unit: str
    number: int
    status: str
    reason: str = ""
    lost_password: bool = False


@dataclass(frozen=True)
class ImportOptions:
    """What a file contains, and what becomes of it.

    ``default_domain`` completes the address of a user that has none. With ``skip``, such a user is
    skipped. A ``dry_run`` changes nothing.
    """

    as_csv: bool = False
    columns: ColumnMap = field(default_factory=ColumnMap)
    source: Source | None = None
    default_domain: str = ""
    skip: bool = False
    dry_run: bool = False


def import_users(file: IO[bytes], options: ImportOptions) -> Iterator[ImportResult]:
    """Import the users of a file, and yield the result of each record.

    Each batch is a transaction, so that an import can be repeated after a fault. Raises
    ``InvalidInput`` for an invalid header or domain.
    """
    if options.default_domain:
        normalize_email(f"user@{options.default_domain}")
    with closing(DryRun() if options.dry_run else Database()) as accounts:
        batch: dict[Candidate, Record] = {}
        for record in _read(file, options):
            checked = _check(record, options)
            if isinstance(checked, ImportResult):
                yield checked
                continue
            batch[checked] = record
            if len(batch) == BATCH:
                yield from _add(batch, accounts)
                batch = {}
        yield from _add(batch, accounts)


def _read(file: IO[bytes], options: ImportOptions) -> Iterator[Record]:
    columns, source = options.columns, options.source
    if not options.as_csv:
        return read_json(file, source.member if source else None)
    header, records = read_csv(file)
    needed = set() if options.default_domain or options.skip else {"email"}
    if "external_id" not in {*header, *columns.sources}:
        needed.add("id")
    columns.check_header(header, needed)
    return records


def _check(record: Record, options: ImportOptions) -> Candidate | ImportResult:
    """Return the account of a record, or the result of a record that has none."""
    place, columns = (record.unit, record.number), options.columns
    if record.error:
        return _bad(record, record.error)
    values = (options.source or django_source(columns)).translate(record.values)
    if values is None:
        return ImportResult(*place, "ignored")
    values = columns.apply(values)
    username = values.get("username")
    if "email" not in values and options.default_domain and isinstance(username, str):
        values["email"] = f"{trim_identifier(username)}@{options.default_domain}"
        values["email_verified"] = False
    if "email" not in values and options.skip:
        return ImportResult(*place, "skipped")
    try:
        return check_user(values, id_is_needed=columns.source_of("id") != "")
    except InvalidInput as invalid:
        return _bad(record, invalid)


def _add(batch: dict[Candidate, Record], accounts: Database) -> Iterator[ImportResult]:
    """Add a batch, and yield the result of each record."""
    outcomes = accounts.add(list(batch)) if batch else {}
    for candidate, record in batch.items():
        place, notes = (record.unit, record.number), candidate.notes
        if candidate not in outcomes:
            yield ImportResult(*place, "added", _format(notes), "password" in notes)
        elif errors := outcomes[candidate]:
            yield ImportResult(*place, "bad", _format(errors))
        else:
            yield ImportResult(*place, "existing")


def _bad(record: Record, invalid: InvalidInput) -> ImportResult:
    return ImportResult(record.unit, record.number, "bad", _format(invalid.errors or {}))


def _format(errors: Mapping[str, Sequence[str]]) -> str:
    """Return errors as one line for a terminal.

    Unprintable characters are replaced, because the names of unknown fields come from the file.
    """
    line = " ".join(f"{field}: {' '.join(reasons)}" for field, reasons in errors.items())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:500]
