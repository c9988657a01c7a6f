"""Migrations beside real servers and real commands."""

import contextlib
import itertools
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from pycoder.extensions import db
from tests.support.callers import Tokens
from tests.support.commands import environment, flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import ROOT
from tests.support.servers import Server

REVISIONS = sorted(path.stem for path in (ROOT / "migrations" / "versions").glob("*.py"))
HEAD = REVISIONS[-1].partition("_")[0]
CODE = ("pycoder", "migrations", "deploy", "config.py", "config_cores.py", "config_parsers.py")
CODE += ("wsgi.py", "gunicorn.conf.py")


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=True).stdout


@pytest.fixture
def version_before(request, tmp_path):
    """The code as it was before a revision was added, in a folder of its own."""
    path = f"migrations/versions/{request.param}.py"
    try:
        added = git("log", "--diff-filter=A", "--format=%H^", "--", path).decode().split()
        packed = git("archive", "--format=tar", added[-1] if added else "HEAD", *CODE)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the version before stands in the history of git, which is not here")
    folder = tmp_path / "before"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
    return folder


@pytest.mark.untraced  # the server is another process
@pytest.mark.parametrize("version_before", REVISIONS[1:], indirect=True)
def test_the_version_before_serves_while_a_migration_runs_and_after(
    version_before, request, new_app, new_database
):
    url, migrated = new_database(), threading.Event()
    revision = request.node.callspec.params["version_before"].partition("_")[0]
    server = Server(version_before, url, workers=1, code=version_before, RATE_LIMITS="off")

    def live(n):
        """Go through the whole flow again and again, and once more after the migration."""
        with ApiConnection(server) as api:
            for again in itertools.count():
                email, last = f"person{n}.{again}@example.com", migrated.is_set()
                assert api.register(email).status == 201
                tokens = Tokens(**api.login(email).json["tokens"])
                assert api.user(tokens.access).status == 200
                assert api.refresh(tokens.refresh).status == 200
                if last:
                    return

    with new_app(DATABASE_URL=url).app_context(), contextlib.ExitStack() as stack:
        upgrade(revision=revision)
        downgrade()
        stack.callback(server.start().kill)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        lives = [pool.submit(live, n) for n in range(2)]
        upgrade(revision=revision)
        migrated.set()
        for life in lives:
            life.result()
        assert db.session.scalar(text("SELECT version_num FROM alembic_version")) == revision
        db.session.remove()


def test_nodes_that_start_together_migrate_one_after_the_other(postgres, tmp_path):
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE started_together")
    env = environment(postgres.get_uri("started_together"))
    with ThreadPoolExecutor(3) as pool:
        nodes = [pool.submit(flask_command, tmp_path, env, "db", "upgrade") for _ in range(3)]
    assert [node.result().returncode for node in nodes] == [0, 0, 0]
    assert flask_command(tmp_path, env, "db", "current").stdout.strip() == f"{HEAD} (head)"
