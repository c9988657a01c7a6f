"""The export is read in batches, ends in the middle at a fault, and is one at a time."""

import itertools
import json
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from tests.support.login_attempts import wait_of
from tests.support.requests import problem
from tests.support.statements import before_statements

COUNT, BATCH = 3500, 1000


@pytest.fixture
def history(ada, app):
    """A user with so many events."""
    row = {"event": Event.LOGIN_REFUSED, "user_id": ada.user().json["id"]}
    with app.app_context():
        db.session.execute(insert(AuditEvent), [row] * (COUNT - 1))
        db.session.commit()
    return ada


@pytest.fixture
def batches(app):
    """The statements that read events. The one with the number ``fault_at`` fails."""

    class Statements(list):
        fault_at = 0

    seen = Statements()

    def note(statement):
        if "FROM audit_events" in statement and "audit_events.id <" in statement:
            seen.append(statement)
            if len(seen) == seen.fault_at:
                raise OperationalError(statement, None, Exception("the connection is lost"))

    with before_statements(app, note):
        yield seen


def export(caller):
    return caller.get("/api/user/export/")


def test_no_more_than_a_batch_is_read_ahead_of_the_client(history, batches):
    response, chunks, read = export(history), [], []
    assert len(batches) == 1
    for chunk in response.iter_encoded():
        chunks.append(chunk)
        read.append(len(batches))
    assert read[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(read))
    assert max(map(len, chunks)) < sum(map(len, chunks)) / 3
    events = json.loads(b"".join(chunks))["events"]
    assert len(events) == COUNT
    assert (events[0]["event"], events[-1]["event"]) == ("login.refused", "user.registered")
    assert UUID(events[-1]["session"])


def test_no_connection_waits_for_the_client(history, app):
    response = export(history)
    with app.app_context():
        assert [engine.pool.checkedout() for engine in db.engines.values()] == [0, 0]
    assert len(response.json["events"]) == COUNT


def test_what_happens_during_an_export_is_not_in_it(history):
    response = export(history)
    chunks = response.iter_encoded()
    first = next(chunks)
    history.login()
    rest = b"".join(chunks)
    assert {one["event"] for one in json.loads(first + rest)["events"]} == {
        "login.refused", "user.registered",
    }  # fmt: skip


def test_an_export_has_the_headers_of_every_answer(ada):
    response = export(ada)
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-ID"]
    assert list(response.json)[-1] == "events"


def test_a_fault_in_the_middle_leaves_no_complete_document(history, batches):
    batches.fault_at = 3
    chunks = []
    with pytest.raises(OperationalError):
        chunks.extend(export(history).iter_encoded())
    text = b"".join(chunks)
    assert text.count(b"login.refused") == 2 * BATCH
    with pytest.raises(ValueError, match="delimiter"):
        json.loads(text)
    assert len(export(history).json["events"]) == COUNT


def test_a_fault_at_the_beginning_is_a_problem(ada, batches):
    batches.fault_at = 1
    assert problem(export(ada)) == (503, "database_unavailable")
    assert export(ada).status_code == 200


def test_an_account_has_one_export_at_a_time(history, bob, app):
    first = export(history)
    assert wait_of(export(history)) == 2
    assert len(export(bob).json["events"]) == 1
    assert len(first.json["events"]) == COUNT
    assert export(history).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_export_that_nobody_reads_is_in_nobodys_way(method, history):
    response = history.call(method, "/api/user/export/")
    assert response.status_code == 200
    response.close()
    assert len(export(history).json["events"]) == COUNT


def test_an_export_is_not_blocked_for_good_by_a_server_that_died(ada, app, clock):
    with app.app_context():
        app.extensions["pycoder.limits"].storage.incr(f"export/{ada.user().json['id']}", 300)
    assert wait_of(export(ada)) == 2
    clock.shift(300)
    assert export(ada).status_code == 200
