"""Add the accounts of an import in batches. Each batch is a transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, create_engine, or_, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import StaticPool

from pycoder import audit
from pycoder.accounts.transfer.records import Candidate
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import insert_into
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.role import UserRole
from pycoder.models.user import User, external_id_digest, normalize_identifier

ROUNDS = 5  # in which a batch is tried while other transactions add accounts
TAKEN = {
    "id": "It belongs to another account.",
    "external_id": "It belongs to another account.",
    "email_key": "An account with this e-mail address exists already.",
    "username_key": "An account with this username exists already.",
}
DELETED = "This account was deleted here."
CHANGED = {"line": ["The accounts changed during the import. Import the file again."]}

Account = Mapping[Any, Any]  # the unique values of an account, and when it joined
Errors = Mapping[str, Sequence[str]]


class Database:
    """The accounts of this installation."""

    def add(self, candidates: Sequence[Candidate]) -> dict[Candidate, Errors | None]:
        """Add the accounts that are new, and commit.

        Return the errors of those that cannot be added, and ``None`` for those that exist already.
        The unique indexes decide. An account that another transaction adds at the same time is
        found in the next round.
        """
        outcomes = self._deleted(candidates)
        pending = [one for one in candidates if one not in outcomes]
        added: dict[int, list[str]] = {}  # the roles by id
        for _ in range(ROUNDS):
            new, known = _Accounts(self._find(pending)).sort(pending)
            outcomes |= known
            ids = self._insert([one.row for one in new])
            added |= {ids[key]: one.roles for one in new if (key := one.row["email_key"]) in ids}
            pending = [one for one in new if one.row["email_key"] not in ids]
            if not pending:
                break
        self._commit(added)
        return outcomes | dict.fromkeys(pending, CHANGED)

    def close(self) -> None:
        """End the import."""

    def _find(self, candidates: Sequence[Candidate]) -> Iterator[Account]:
        """Yield the accounts that share a unique value with one of the candidates."""
        yield from db.session.connection().execute(_sharing(candidates)).mappings()

    def _insert(self, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Insert rows that conflict with no other, and return their ids by ``email_key``."""
        _advance_id_sequence(max((row.get("id", 0) for row in rows), default=0))
        return _insert_rows(db.session.connection(), insert_into(User), rows)

    def _commit(self, added: dict[int, list[str]]) -> None:
        granted = [(id_, role) for id_, roles in added.items() for role in sorted({*roles})]
        if granted:
            rows = [{"user_id": id_, "role": role, "granted_at": now()} for id_, role in granted]
            db.session.execute(insert_into(UserRole), rows)
            audit.record_all(Event.ROLE_GRANTED, granted)
        if added:
            audit.record(Event.USERS_IMPORTED, reason=f"{len(added)} users")
        db.session.commit()

    def _deleted(self, candidates: Iterable[Candidate]) -> dict[Candidate, Errors | None]:
        """Return the errors of accounts that were deleted here, which no import restores."""
        digests = {
            one: external_id_digest(one.row["external_id"])
            for one in candidates
            if one.row["external_id"]
        }
        ids = [one.row["id"] for one in candidates if "id" in one.row]
        rows = db.session.execute(
            select(AuditEvent.user_id, AuditEvent.reason).where(
                AuditEvent.event == Event.USER_DELETED,
                or_(AuditEvent.user_id.in_(ids), AuditEvent.reason.in_(digests.values())),
            )
        )
        deleted = {value for row in rows for value in row if value is not None}
        return {
            one: {one.identity: [DELETED]}
            for one in candidates
            if deleted & {one.row.get("id"), digests.get(one)}
        }


class DryRun(Database):
    """The accounts of this installation, and those that an import would add.

    Only the latter are written, to a database of their own, which SQLite keeps in a temporary file.
    So nothing waits for a dry run, however long the file is.
    """

    def __init__(self) -> None:
        engine = create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(""), poolclass=StaticPool
        )
        self._added = engine.connect()
        User.metadata.tables["users"].create(self._added)

    def close(self) -> None:
        """Forget what would be added."""
        self._added.close()
        self._added.engine.dispose()

    def _find(self, candidates: Sequence[Candidate]) -> Iterator[Account]:
        yield from super()._find(candidates)
        yield from self._added.execute(_sharing(candidates)).mappings()

    def _insert(self, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        return _insert_rows(self._added, sqlite.insert(User), rows)

    def _commit(self, added: dict[int, list[str]]) -> None:
        self._added.commit()
        db.session.rollback()


class _Accounts:
    """Accounts by each of their unique columns."""

    def __init__(self, accounts: Iterable[Account]):
        self._by: dict[str, dict[Any, Account]] = {name: {} for name in TAKEN}
        for account in accounts:
            self._add(account)

    def _add(self, account: Account) -> None:
        for name, accounts in self._by.items():
            if account.get(name) is not None:
                accounts[account[name]] = account

    def sort(
        self, candidates: Iterable[Candidate]
    ) -> tuple[list[Candidate], dict[Candidate, Errors | None]]:
        """Return the candidates that can be added, and why the others cannot be.

        The latter is ``None`` for an account that exists already. The candidates count as added for
        those after them.
        """
        new, known = [], dict[Candidate, Errors | None]()
        for one in candidates:
            account = self._by[one.identity].get(one.row[one.identity])
            if account and all(account[name] == one.row[name] for name in one.compared):
                known[one] = None
            elif errors := self._errors(one):
                known[one] = errors
            else:
                new.append(one)
                self._add(one.row)
        return new, known

    def _errors(self, one: Candidate) -> Errors:
        """Return an error for each value that is taken. A derived username is replaced."""
        row, names = one.row, self._by["username_key"]
        while row["username_key"] in names and (name := next(one.usernames, None)):
            row["username"], row["username_key"] = name, normalize_identifier(name)
        return {
            name.removesuffix("_key"): [reason]
            for name, reason in TAKEN.items()
            if row.get(name) in self._by[name]
        }


def _sharing(candidates: Sequence[Candidate]) -> Select[Any]:
    """Return the SELECT of the accounts that share a unique value with a candidate."""
    values = {name: {one.row.get(name) for one in candidates} - {None} for name in TAKEN}
    shared = [getattr(User, name).in_(wanted) for name, wanted in values.items() if wanted]
    columns = (*(getattr(User, name) for name in TAKEN), User.date_joined)
    return select(*columns).where(or_(*shared))


def _insert_rows(
    connection: Connection, insert: Any, rows: Sequence[dict[str, Any]]
) -> dict[str, int]:
    insert = insert.on_conflict_do_nothing().returning(User.email_key, User.id)
    with_id = [row for row in rows if "id" in row]
    without_id = [row for row in rows if "id" not in row]
    ids: dict[str, int] = {}
    for group in filter(None, (with_id, without_id)):
        ids |= {row.email_key: row.id for row in connection.execute(insert, group)}
    return ids


def _advance_id_sequence(highest: int) -> None:
    """Advance PostgreSQL's id sequence past the highest id. SQLite does so by itself.

    It is advanced before the rows are inserted, so that a simultaneous registration gets no id of
    theirs.
    """
    if highest and db.engine.name == "postgresql":
        db.session.execute(
            text(
                "SELECT setval(ids::regclass, :highest)"
                " FROM pg_get_serial_sequence('users', 'id') AS ids"
                " WHERE coalesce(pg_sequence_last_value(ids::regclass), 0) < :highest"
            ),
            {"highest": highest},
        )
