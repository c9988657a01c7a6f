"""What SQLite's files contain."""

import pytest

from tests.support.application import migrated
from tests.support.callers import Caller
from tests.support.outbox import send

ERASED = (b"bob@example.com", b"Roberta", b"bob-the-first")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pycoder.db"


def test_a_deleted_account_is_in_no_file_once_its_owner_was_told(path, tmp_path):
    def contents():
        return b"".join(file.read_bytes() for file in tmp_path.glob("pycoder.db*"))

    with migrated(tmp_path, DATABASE_URL=f"sqlite:///{path}") as app:
        ada, bob = (Caller(app.test_client(), f"{name}@example.com") for name in ("ada", "bob"))
        assert ada.register().status_code == 201
        assert bob.register(username="bob-the-first", first_name="Roberta").status_code == 201
        assert all(text in contents() for text in ERASED)
        deleted = bob.call("DELETE", "/api/user/", json={"password": bob.password})
        assert deleted.status_code == 204
        assert send(app).sent > 0  # the notice to bob
        assert b"ada@example.com" in contents()
        assert [text for text in ERASED if text in contents()] == []
