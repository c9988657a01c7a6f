"""Hooks, and the fixtures that all kinds of tests share."""

import contextlib
import gc
import itertools
import math
import os
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import coverage
import psycopg
import pytest
import time_machine
from sqlalchemy import func, select

from config import TestingConfig
from pycoder import create_app
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.keys.ring import KeyRing, current_ring
from pycoder.keys.store import KeyRingCache
from pycoder.mail import backend, worker
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OutgoingMail
from tests.support.application import application, empty_tables, migrated
from tests.support.callers import Caller
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import KEYS
from tests.support.mail_server import MailServer
from tests.support.postgres import run_postgres

GIGABYTE = 1024**3
counter = itertools.count(1)


def pytest_configure(config):
    """Keep temporary files in one folder, in memory if there is room, and delete it at the end.

    Databases wait for the disk at every commit, which takes most of the time on a slow one.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * GIGABYTE
    folder = memory if roomy else None
    config.option.basetemp = tempfile.mkdtemp(prefix="pycoder-", dir=folder)


def pytest_unconfigure(config):
    shutil.rmtree(config.option.basetemp, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Start with slow tests, so that no process is left with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("untraced") is None)


def pytest_collection_finish():
    """Exclude the collected tests from garbage collection: a full one took 0.2 s."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Do not trace tests that are marked ``untraced``. Tracing doubles their time."""
    tracer = item.get_closest_marker("untraced") and coverage.Coverage.current()
    if not tracer:
        return (yield)
    tracer.stop()
    try:
        return (yield)
    finally:
        tracer.start()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The PostgreSQL server of the whole suite."""
    with run_postgres(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request):
    return request.param


@pytest.fixture(scope="session")
def new_database(database, request, tmp_path_factory):
    """Return a function that creates an empty database and returns its URL.

    ``options`` are those of CREATE DATABASE.
    """

    def make(options=""):
        if database == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'pycoder.db'}"
        postgres = request.getfixturevalue("postgres")
        name = f"pycoder_{next(counter)}"
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return postgres.get_uri(name)

    return make


@pytest.fixture(scope="session")
def migrated_app(new_database, tmp_path_factory):
    with migrated(tmp_path_factory.mktemp("app"), DATABASE_URL=new_database()) as app:
        with app.app_context():
            current_ring()  # the first key is on record before the first test
        yield app


@pytest.fixture
def new_app(tmp_path):
    """Return a function that makes another application: ``new_app(kind, NAME="a setting")``."""
    with contextlib.ExitStack() as apps:
        yield lambda *kind, **settings: apps.enter_context(application(tmp_path, *kind, **settings))


@pytest.fixture(scope="module")
def app_without_tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    return create_app(TestingConfig({"SECRET_KEY": SECRET_KEY}, folder))


@pytest.fixture
def signed_by_hand(request, monkeypatch):
    """Make the application sign with a key of the tests, and know one of each algorithm."""
    for name in {"migrated_app", "app_without_tables"} & set(request.fixturenames):
        keeper = KeyRingCache(KeyRing(KEYS.values()), looked_at=math.inf)
        monkeypatch.setitem(request.getfixturevalue(name).extensions, "pycoder.keys", keeper)


@pytest.fixture
def app(migrated_app):
    """The application on an empty, migrated database."""
    return empty_tables(migrated_app)


@pytest.fixture
def app_with(app, new_app):
    """Return a function that makes an application with other settings on the same database."""
    return partial(new_app, DATABASE_URL=app.config["DATABASE_URL"])


@pytest.fixture
def setting(app, monkeypatch):
    """Return a function that changes a setting for one test."""
    return lambda name, value: monkeypatch.setitem(app.config, name, value)


@pytest.fixture
def no_limits(app, monkeypatch):
    """Switch the limits off."""
    limits = replace(app.extensions["pycoder.limits"], items={})
    monkeypatch.setitem(app.extensions, "pycoder.limits", limits)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def flask(app):
    """Return a function that runs a command as ``flask …`` and returns its result."""
    return lambda *words, stdin=None: app.test_cli_runner().invoke(args=words, input=stdin)


@pytest.fixture
def anyone(client):
    """A caller without an account."""
    return Caller(client)


@pytest.fixture
def ada(app):
    """A caller with an account, ``ada``, and a session."""
    caller = Caller(app.test_client())
    assert caller.register().status_code == 201
    return caller


@pytest.fixture
def bob(app):
    caller = Caller(app.test_client(), "bob@example.com", "another long pass phrase")
    assert caller.register().status_code == 201
    return caller


@pytest.fixture
def clock():
    """Stop the clock at a whole second, so that every wait is a whole number."""
    start = now().replace(microsecond=0) + timedelta(seconds=1)  # after what other fixtures did
    with time_machine.travel(start, tick=False) as stopped:
        yield stopped


@pytest.fixture
def rows(app):
    """Return a function that reads the current rows of the database."""

    def read(statement):
        with app.app_context():
            return list(db.session.scalars(statement))

    return read


@pytest.fixture
def trail(rows):
    """Return a function that lists the recorded events, oldest first."""
    return lambda: rows(db.select(AuditEvent.event).order_by(AuditEvent.id))


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture
def mailman(app, monkeypatch):
    """Return a function that sets ``MAIL_URL`` for the test."""

    def use(url):
        with monkeypatch.context() as patch:
            patch.setitem(app.config, "MAIL_URL", url)
            backend.init_app(app)

    yield use
    backend.init_app(app)


@pytest.fixture
def mails(app, mail_server, mailman):
    """Return a function that sends all due mails through a real server and returns them."""
    mailman(mail_server.url)

    def arrive():
        del mail_server.mails[:]
        with app.app_context():
            worker.send_due()
        return list(mail_server.mails)

    return arrive


@pytest.fixture
def waiting(rows):
    """Return a function that counts the queued mails."""
    return lambda: rows(select(func.count(OutgoingMail.id)))[0]
