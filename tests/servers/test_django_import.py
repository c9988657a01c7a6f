"""The import of users whom a real Django dumped."""

import subprocess
import sys
import unicodedata

import pytest
from sqlalchemy import select

from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT
from tests.support.callers import Caller
from tests.support.constants import ROOT
from tests.support.password_hashes import KNOWN

ALGORITHMS = ("pbkdf2_sha256", "pbkdf2_sha1", "scrypt", "bcrypt_sha256", "bcrypt", "argon2")
TYPED = unicodedata.normalize("NFD", KNOWN)  # as some keyboards have it


def dumped(format_):
    """Return what a real Django dumped."""
    platform = [sys.executable, ROOT / "tests" / "support" / "earlier_platform.py"]
    command = [*platform, TYPED, format_, *ALGORITHMS]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """Return the file that a real Django dumped."""
    file = tmp_path_factory.mktemp("django") / "users.jsonl"
    file.write_bytes(dumped("jsonl"))
    return file


def counts(done):
    """Return the counts that are not zero. Permissions and content types are ignored."""
    assert done.exit_code == 0
    pairs = (pair.split("=") for pair in done.output.split())
    return {name: int(count) for name, count in pairs if name != "ignored" and count != "0"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_comes_from_django_signs_in_and_the_hash_is_upgraded(app, flask, dump, rows, algorithm):
    assert counts(flask("users", "import", str(dump))) == {"added": 7}
    user = Caller(app.test_client(), f"{algorithm}@example.com", "wrong")
    mine = select(User.password_hash).where(User.username == algorithm)
    old = rows(mine)[0]
    assert old.startswith(f"{algorithm}$")
    assert user.try_login().status_code == 400
    assert rows(mine)[0] == old
    user.password = TYPED
    assert user.try_login().status_code == 200
    assert HASH_FORMAT.fullmatch(rows(mine)[0])
    assert user.try_login().json["user"]["first_name"] == "Zoë"
    assert counts(flask("users", "import", str(dump))) == {"existing": 7}
    assert user.user().status_code == 200


def test_who_has_no_password_is_refused_like_anybody(app, flask, dump, caplog):
    flask("users", "import", str(dump))
    assert Caller(app.test_client(), "nobody@example.com").try_login().status_code == 400
    assert caplog.text == ""


def test_the_array_of_dumpdata_is_the_same(app, flask, tmp_path):
    (tmp_path / "users.json").write_bytes(dumped("json"))
    assert counts(flask("users", "import", str(tmp_path / "users.json"))) == {"added": 7}
