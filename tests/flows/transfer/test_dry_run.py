"""The import that only reports, and the progress that an operator sees."""

import io

import pytest
from sqlalchemy import event, select

from pycoder.accounts.transfer import importing
from pycoder.cli import transfer
from pycoder.extensions import db
from pycoder.models.user import User
from tests.support.imports import line, report

LINES = [
    line(1),
    line(2, password="md5$x$y"),
    line(1),
    line(3, email="USER1@example.com"),
    line("uuid", email="u@example.com", username=""),
    line("uuid", email="v@example.com"),
    line(4, email="u@example.org", username="a b"),
    line(5, email="", username="nobody"),
    line(6, username="User2"),
    "{",
    line(2, date_joined="2020-03-04T05:06:07Z"),
]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_dry_run_reports_the_same_and_changes_nothing(flask, rows, trail, monkeypatch, batch):
    monkeypatch.setattr(importing, "BATCH", batch)
    flask("users", "import", "-", stdin=line(50, email="v@example.com", username="old"))
    before = rows(select(User.id)), trail()
    stdin = "\n".join(LINES)
    dry = flask("users", "import", "-", "--dry-run", "--skip", stdin=stdin)
    assert (rows(select(User.id)), trail()) == before
    real = flask("users", "import", "-", "--skip", stdin=stdin)
    assert (dry.stdout, dry.exit_code) == (real.stdout, real.exit_code)
    assert sorted(dry.stderr.splitlines()) == sorted(real.stderr.splitlines())
    counts = {"added": 4, "existing": 2, "without_password": 1, "skipped": 1, "bad": 4}
    assert dry.stdout == f"{report(**counts)}\n"


def test_a_dry_run_writes_nothing_to_the_database(app, rows):
    statements = []

    def note(connection, cursor, statement, *more):
        statements.append(statement)

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
        options = importing.ImportOptions(dry_run=True)
        assert len(list(importing.import_users(io.BytesIO(line(1).encode()), options))) == 1
        event.remove(db.engine, "before_cursor_execute", note)
    assert statements
    assert all(statement.startswith("SELECT") for statement in statements)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_terminal_shows_how_much_of_the_file_was_read(app, tmp_path, monkeypatch, on_terminal):
    file = tmp_path / "users.jsonl"
    file.write_text("\n".join(map(line, range(1, 40))))
    stderr = Terminal() if on_terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with app.app_context(), open(file, "rb") as stream:
        results = importing.import_users(stream, importing.ImportOptions())
        assert len(list(transfer.with_progress(results, stream))) == 39
    assert ("Importing" in stderr.getvalue()) == ("100%" in stderr.getvalue()) == on_terminal
