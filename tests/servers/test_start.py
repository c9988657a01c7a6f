"""Servers and commands that are started with unsafe settings, or where they cannot work."""

import itertools
import os
import subprocess
import sys

import pytest

from tests.support.commands import environment, flask_command
from tests.support.constants import ROOT
from tests.support.ports import free_port
from tests.support.programs import program


def test_gunicorn_and_flask_refuse_to_start_in_words(tmp_path):
    env = environment("", PYCODER_ENV="production", SECRET_KEY="short-but-mine", PORT="x")
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", f"{ROOT}/gunicorn.conf.py", "wsgi:app"]
    served = subprocess.run(
        gunicorn, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    asked = flask_command(tmp_path, env, "doctor")
    for done in (served, asked):
        assert done.returncode != 0
        assert "REFUSED SECRET_KEY" in done.stderr
        assert "REFUSED PORT" in done.stderr
        assert "short-but-mine" not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


def unreadable(folder):
    (folder / ".env").touch(0)
    return f"{folder}/.env cannot be read: Permission denied"


def not_utf_8(folder):
    (folder / ".env").write_bytes("PUBLIC_URL=https://münchen.example\n".encode("latin-1"))
    return f"{folder}/.env cannot be read: it is not UTF-8"


def no_instance(folder):
    folder.chmod(0o500)
    return f"{folder}/instance cannot be created: Permission denied"


def an_instance_of_others(folder):
    (folder / "instance").mkdir(0o500)
    return f"this user cannot write into {folder}/instance"


def an_instance_that_is_a_file(folder):
    (folder / "instance").touch()
    return f"{folder}/instance cannot be created: File exists"


def a_database_that_is_a_directory(folder):
    (folder / "data" / "pycoder.db").mkdir(parents=True)
    return f"DATABASE_URL names a directory: {folder}/data/pycoder.db"


def a_database_in_no_directory(folder):
    return f"there is no directory {folder}/data"


def a_database_among_files_of_others(folder):
    (folder / "data").mkdir(0o500)
    return f"this user cannot write into {folder}/data"


def a_database_of_others(folder):
    (folder / "data").mkdir()
    (folder / "data" / "pycoder.db").touch(0o400)
    return f"this user cannot read and write {folder}/data/pycoder.db"


def a_journal_of_others(folder):
    (folder / "data").mkdir()
    (folder / "data" / "pycoder.db").touch()
    (folder / "data" / "pycoder.db-wal").touch(0o400)
    return f"this user cannot read and write {folder}/data/pycoder.db-wal"


OBSTACLES = [
    unreadable,
    not_utf_8,
    no_instance,
    an_instance_of_others,
    an_instance_that_is_a_file,
    a_database_that_is_a_directory,
    a_database_in_no_directory,
    a_database_among_files_of_others,
    a_database_of_others,
    a_journal_of_others,
]
STARTS = {
    "gunicorn": ["gunicorn", "-c", f"{ROOT}/gunicorn.conf.py", "wsgi:app"],
    "doctor": ["flask", "--app", "wsgi", "doctor"],
    "granian": ["deploy.granian_server"],
    "migrations": ["flask", "--app", "wsgi", "db", "upgrade"],
}


@pytest.mark.parametrize(
    ("start", "obstacle"),
    [
        *itertools.product(("gunicorn", "doctor"), OBSTACLES),
        *itertools.product(("granian", "migrations"), (unreadable, a_database_of_others)),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line_at_the_start(start, obstacle, tmp_path):
    reason = obstacle(tmp_path)
    url = f"sqlite:///{tmp_path}/data/pycoder.db" if "/data" in reason else ""
    env = environment(url, FLASK_SKIP_DOTENV="1")
    command = [*without_privileges(), sys.executable, "-m", *STARTS[start]]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, f"PyCoder refuses to start: {reason}\n")


@pytest.mark.parametrize("command", ["upgrade", "current"])
def test_a_database_that_does_not_answer_is_one_line_of_the_migrations(command, tmp_path):
    env = environment(f"postgresql://u:hunter2@127.0.0.1:{free_port()}/x")
    done = flask_command(tmp_path, env, "db", command)
    assert done.returncode == 1
    assert "the database does not answer: connection failed" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def without_privileges():
    """Return the start of a command that may read and write no more than the modes allow."""
    if os.geteuid():
        return []
    dropped = "-dac_override,-dac_read_search"
    return [*program("setpriv"), "--bounding-set", dropped, "--inh-caps", "-all"]
