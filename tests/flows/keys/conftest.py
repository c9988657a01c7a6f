"""Fixtures that store, rotate and forget signing keys."""

from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
import time_machine
from sqlalchemy import delete, event, insert, select

from pycoder.extensions import db
from pycoder.keys import rotation
from pycoder.keys import store as keys_store
from pycoder.keys.ring import current_ring
from pycoder.keys.store import REFRESH_INTERVAL, KeyRingCache
from pycoder.models.key import SigningKey


@pytest.fixture
def clock(monkeypatch):
    """Return a function that moves the clock by which a process ages its key ring."""
    clock = [1000.0]
    monkeypatch.setattr(keys_store, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        import_module("pycoder.cli.keys"), "PROPAGATION_DELAY", 0
    )  # commands do not wait

    def pass_by(seconds=REFRESH_INTERVAL):
        clock[0] += seconds

    return pass_by


@pytest.fixture
def restart(app, monkeypatch):
    """Return a function that empties the key ring cache, as a restart does."""
    return lambda: monkeypatch.setitem(app.extensions, "pycoder.keys", KeyRingCache())


@pytest.fixture
def store(app, clock, restart):
    """Return a function that replaces the stored keys; the keys are restored at the end."""
    with app.app_context(), db.engine.connect() as connection:
        was = [dict(row) for row in connection.execute(select(SigningKey.__table__)).mappings()]

    def put(*rows):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(delete(SigningKey))
            for row in rows:
                connection.execute(insert(SigningKey), row)
        restart()

    put()
    yield put
    put(*was)


@pytest.fixture
def ring(app, store):
    """Return a function that returns the current key ring."""

    def current():
        with app.app_context():
            return current_ring()

    return current


@pytest.fixture
def rotate(app, clock, store):
    """Return a function that rotates the keys and lets this process load them."""

    def rotate():
        with app.app_context():
            made = rotation.rotate()
        clock()
        return made

    return rotate


@pytest.fixture
def travel():
    """Return a function that moves the stopped clock by so many seconds."""
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=1), tick=False) as traveller:
        yield lambda seconds: traveller.shift(timedelta(seconds=seconds))


@pytest.fixture
def looks(app, store, ring):
    """A list of the statements that read the keys."""
    ring()
    with app.app_context():
        engine = db.engines["autocommit"]
    seen = []

    def note(connection, cursor, statement, *_):
        if "signing_keys" in statement:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
