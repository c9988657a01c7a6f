"""The command that copies a SQLite database."""

import resource
import shlex
import sqlite3
from contextlib import closing, contextmanager

import pytest

from tests.support.application import migrated
from tests.support.callers import Caller
from tests.support.faults import dump


@pytest.fixture
def file(tmp_path):
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "pycoder.db"


@pytest.fixture
def source(tmp_path):
    return tmp_path / "instance" / "pycoder.db"


@pytest.fixture
def backup(source, tmp_path):
    """Return a function that backs up a database with one user."""
    with migrated(tmp_path, DATABASE_URL=f"sqlite:///{source}") as app:
        assert Caller(app.test_client()).register().status_code == 201
        yield lambda file: app.test_cli_runner().invoke(args=("backup", str(file)))


def assert_refused(done, reason, file):
    """Assert that one line gives the reason, and that nothing is left behind."""
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert reason in done.stderr
    assert list(file.parent.glob("*")) == list(file.parent.glob(".*")) == []


def test_a_backup_is_a_single_private_file_with_everything(backup, source, file):
    done = backup(file)
    assert done.exit_code == 0, done.stderr
    assert "revision=0001" in done.stdout
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600
    assert dump(file) == dump(source)


def test_a_backup_names_what_else_has_to_be_kept(backup, file):
    assert "SECRET_KEY" in backup(file).stderr


def test_a_backup_never_replaces_a_file(backup, file):
    file.write_text("the backup of yesterday")
    done = backup(file)
    assert (done.exit_code, "exists already" in done.stderr) == (1, True)
    assert [path.read_text() for path in file.parent.iterdir()] == ["the backup of yesterday"]


def test_a_backup_into_a_folder_that_is_not_there_is_refused(backup, file):
    done = backup(file.parent / "nowhere" / "pycoder.db")
    assert_refused(done, "No such file or directory", file)


@contextmanager
def full_disk():
    """Limit the size of files, as a disk without space does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_backup_onto_a_full_disk_leaves_nothing(backup, file):
    with full_disk():
        done = backup(file)
    assert_refused(done, "was not written", file)
    assert backup(file).exit_code == 0


def test_a_damaged_database_is_not_taken_for_a_backup(backup, source, file):
    """An index that contradicts its table is found by no statement that reads the table."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        statement = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_users_1'"
        (number,) = connection.execute(statement).fetchone()
    with source.open("r+b") as pages:
        pages.seek((number - 1) * 4096)
        page = pages.read(4096)
        pages.seek((number - 1) * 4096)
        pages.write(page.replace(b"ada@example", b"eve@example"))
    assert_refused(backup(file), "the database is damaged", file)


def test_a_database_without_tables_is_not_taken_for_a_backup(new_app, file, tmp_path):
    app = new_app(DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    done = app.test_cli_runner().invoke(args=("backup", str(file)))
    assert_refused(done, "has no tables", file)


def test_postgresql_is_backed_up_by_a_command_without_its_password(new_app, file):
    url = "postgresql://pycoder:se%40cret@db.example.com/accounts?password=hidden&sslmode=require"
    done = new_app(DATABASE_URL=url).test_cli_runner().invoke(args=("backup", str(file)))
    assert_refused(done, "pg_dump", file)
    address = shlex.quote("postgresql://pycoder@db.example.com/accounts?sslmode=require")
    command = f"(umask 077 && pg_dump --format=custom --file={file} {address})"
    assert done.stderr.partition("Run: ")[2] == f"{command}\n"
