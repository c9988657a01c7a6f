"""The files of an installation, and who can open them."""

import os
import stat

import pytest

from config import DevelopmentConfig, TestingConfig
from pycoder.db.files import database_file, exposed_files
from tests.support.application import migrated
from tests.support.constants import SECRET_KEY


@pytest.fixture
def umask():
    """Give every user what a program does not keep to itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("url", ["sqlite:///{}/other/pycoder.db", "sqlite:///pycoder.db"])
def test_new_files_are_private(tmp_path, umask, url):
    (tmp_path / "other").mkdir()
    with migrated(tmp_path, DATABASE_URL=url.format(tmp_path)) as app:
        config = app.extensions["pycoder.config"]
        database = database_file(config)
        modes = {path.name: mode(path) for path in database.parent.iterdir()}
        assert modes == dict.fromkeys(("pycoder.db", "pycoder.db-wal", "pycoder.db-shm"), 0o600)
        assert mode(config.instance) == 0o700
        assert list(exposed_files(config)) == []


def test_a_folder_of_mails_that_every_user_can_open_is_reported(tmp_path):
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails").chmod(0o755)
    config = DevelopmentConfig({"MAIL_URL": f"file:{tmp_path}/mails"}, tmp_path)
    assert list(exposed_files(config)) == [(tmp_path / "mails", "0755")]


@pytest.mark.parametrize(
    ("folder", "file", "exposed"),
    [
        (0o755, 0o644, ["instance", "pycoder.db"]),
        (0o700, 0o602, ["pycoder.db"]),
        (0o711, 0o600, []),
        (0o750, 0o640, []),
    ],
)
def test_what_every_user_can_open_is_reported_and_stays(tmp_path, folder, file, exposed, caplog):
    instance = tmp_path / "instance"
    instance.mkdir()
    database = instance / "pycoder.db"
    database.touch()
    instance.chmod(folder)
    database.chmod(file)
    with migrated(tmp_path, DATABASE_URL=f"sqlite:///{database}") as app:
        done = app.test_cli_runner().invoke(args=("doctor",))
    warned = [line for line in done.output.splitlines() if line.startswith("WARNING")]
    assert [line.split()[1].rpartition("/")[2] for line in warned][: len(exposed)] == exposed
    assert bool(warned) == bool(exposed) == ("run chmod o-rwx" in caplog.text)
    assert (mode(instance), mode(database)) == (folder, file)


def test_postgresql_has_no_file(tmp_path):
    settings = {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": "postgresql:///x"}
    assert database_file(TestingConfig(settings, tmp_path)) is None
