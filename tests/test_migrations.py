"""The schema as an installation gets it: by migrations, up and down, with rows in the tables."""

import contextlib
import itertools
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from pycoder.db.base import Base
from pycoder.extensions import db
from tests.callers import (
    ROOT,
    Caller,
    Line,
    Server,
    Tokens,
    environment,
    flask_command,
    migrated,
)

REVISIONS = sorted(path.stem for path in (ROOT / "migrations" / "versions").glob("*.py"))
HEAD = REVISIONS[-1].partition("_")[0]
CODE = ("pycoder", "migrations", "config.py", "wsgi.py", "gunicorn.conf.py")


@pytest.fixture
def fresh(new_database, tmp_path):
    """An application on a database of its own, migrated, with Ada in it."""
    with migrated(tmp_path, DATABASE_URL=new_database()) as app, app.app_context():
        assert Caller(app.test_client()).register().status_code == 201
        yield app
        db.session.remove()


def test_the_migrations_make_what_the_models_say(fresh):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_works_with_rows_in_the_tables(fresh):
    downgrade(revision="base")
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0
    upgrade()
    assert Caller(fresh.test_client()).register().status_code == 201
    assert db.session.scalar(select(db.func.count()).select_from(text("users"))) == 1


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
        with Line(server) as line:
            for again in itertools.count():
                email, last = f"person{n}.{again}@example.com", migrated.is_set()
                assert line.register(email).status == 201
                tokens = Tokens(**line.login(email).json["tokens"])
                assert line.user(tokens.access).status == 200
                assert line.refresh(tokens.refresh).status == 200
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
