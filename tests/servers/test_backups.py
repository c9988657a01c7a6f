"""A database that is backed up under load, lost, and put back, and what a stopped server leaves."""

import base64
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import jwt
import pytest

from tests.support.backups import back_up, put_back
from tests.support.callers import Tokens
from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.load import LIMITS, Load, every_response_was_in_time
from tests.support.servers import Server
from tests.support.tokens import read

pytestmark = pytest.mark.untraced  # the server is another process


def signed_in(answer):
    assert answer.status in (200, 201), answer
    return Tokens(**answer.json["tokens"])


def place_of(token):
    entry = read(token)[1]["status"]["status_list"]
    return entry["uri"], entry["idx"]


def user_id_of(token):
    return read(token)[1]["user_id"]


def published_keys(api):
    jwks = api.call("GET", "/.well-known/jwks.json").json["keys"]
    return {jwk["kid"]: jwt.PyJWK(jwk).key for jwk in jwks}


def is_over(api, keys, token):
    """Return what the status list says about a token to a service that verifies offline."""
    uri, idx = place_of(token)
    listed = api.call("GET", f"/{uri.split('/', 3)[3]}").text
    key = keys[jwt.get_unverified_header(listed)["kid"]]
    bits = jwt.decode(listed, key, ["EdDSA"])["status_list"]["lst"]
    return bool(zlib.decompress(base64.urlsafe_b64decode(bits + "=="))[idx // 8] >> idx % 8 & 1)


def go_on_after_the_backup(api, leaver, changer):
    """Log out, change a password, register; return the tokens that were issued."""
    assert api.logout(leaver.access).status == 204
    body = {"current_password": PASSWORD, "new_password": "another long pass phrase"}
    changed = api.call("POST", "/api/password/change/", body, access=changer.access)
    newcomers = [api.register(f"new{n}@example.com") for n in range(3)]
    return [signed_in(answer) for answer in (changed, *newcomers)]


def test_a_backup_that_is_put_back_revives_nothing_and_gives_nothing_twice(new_database, tmp_path):
    server = Server(tmp_path, new_database(), RATE_LIMITS=LIMITS)
    file = tmp_path / "backup"
    with server:
        with ApiConnection(server) as api:
            lost = [signed_in(api.register(f"{name}@example.com")) for name in ("ada", "bob")]
            lost.append(signed_in(api.login("ada@example.com")))
        with Load(server) as load:
            back_up(server, file)
            load.until_all_succeed()
        assert every_response_was_in_time(load)
        with ApiConnection(server) as api:
            lost += go_on_after_the_backup(api, *lost[:2])
            cached = published_keys(api)
        server.kill()
        put_back(server.env["DATABASE_URL"], file)
        done = flask_command(tmp_path, server.env, "restored", "--yes")
        assert done.returncode == 0, done.stderr
        server.start()
        with ApiConnection(server) as api:
            keys = published_keys(api)
            assert keys.keys() & cached.keys() == set()
            for tokens in lost:
                assert api.user(tokens.access).status == 401
                assert api.refresh(tokens.refresh).status == 401
                assert is_over(api, keys, tokens.access)
            others = [signed_in(api.register(f"other{n}@example.com")) for n in range(3)]
            bob = signed_in(api.login("bob@example.com"))  # with the password of the backup
            for tokens in (*others, bob):
                assert api.user(tokens.access).status == 200
                assert not is_over(api, keys, tokens.access)
    assert user_id_of(bob.access) == user_id_of(lost[1].access)
    highest = max(user_id_of(tokens.access) for tokens in lost)
    assert min(user_id_of(tokens.access) for tokens in others) > highest + 100_000
    given = {place_of(tokens.access) for tokens in lost}
    assert not given & {place_of(tokens.access) for tokens in (*others, bob)}


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_the_file_of_a_stopped_server_is_whole_and_private(kind, tmp_path):
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'elsewhere' / 'x.db'}", kind=kind)
    (tmp_path / "elsewhere").mkdir()
    start = 'umask 022; rm -r instance; exec "$@"'
    server.command = ["sh", "-c", start, "sh", *server.command]
    with server, ApiConnection(server) as api:
        assert api.register("ada@example.com").status == 201
        files = [*Path(tmp_path, "elsewhere").iterdir(), *Path(tmp_path, "instance").iterdir()]
        modes = {path.name.partition("-")[0]: path.stat().st_mode & 0o777 for path in files}
        expected = {"x.db": 0o600} | ({"metrics": 0o700} if kind == "gunicorn" else {})
        assert modes == expected
        assert Path(tmp_path, "instance").stat().st_mode & 0o777 == 0o700
        server.stop()
    shutil.copy(tmp_path / "elsewhere" / "x.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT email FROM users").fetchall() == [("ada@example.com",)]


def test_a_server_that_stops_does_not_wait_for_another_user_of_its_database(tmp_path):
    path = tmp_path / "pycoder.db"
    count = "SELECT count(*) FROM users"
    with (
        Server(tmp_path, f"sqlite:///{path}") as server,
        ApiConnection(server) as api,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN")
        assert other.execute(count).fetchone() == (0,)
        assert api.register("ada@example.com").status == 201
        assert server.stop() == 0
        assert other.execute(count).fetchone() == (0,)
        other.execute("COMMIT")
        assert other.execute(count).fetchone() == (1,)


def test_a_command_leaves_a_whole_file(tmp_path):
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'pycoder.db'}")
    assert flask_command(tmp_path, server.env, "db", "upgrade").returncode == 0
    shutil.copy(tmp_path / "pycoder.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
