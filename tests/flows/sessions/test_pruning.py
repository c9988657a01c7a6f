"""The store is bounded: a refresh leaves no row, and writes delete expired rows."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, func, insert, select

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.base import Base
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.device import Device
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.rate_limit import RateLimit
from pycoder.models.session import PendingIndex, Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.sessions import pruning
from tests.support.callers import Caller, Tokens
from tests.support.clocks import later
from tests.support.constants import SOAK

NO_TAKEOVER = [0] * 4  # its tables are pruned in flows/takeover/test_commands.py
BATCH = 20  # rows of a table that an ordinary write takes with it
LARGE_BATCH = 1000  # rows of a table that one transaction of the command deletes
KEY = "0123456789abcdef"
numbers = itertools.count(1)


@pytest.fixture
def tables(rows):
    """Return a function that counts the rows of every table."""

    def count():
        return {
            table.name: rows(select(func.count()).select_from(table))[0]
            for table in Base.metadata.sorted_tables
        }

    return count


@pytest.fixture
def flask(app):
    """Return a function that runs a command as ``flask …`` and returns what it printed."""

    def run(*words):
        done = app.test_cli_runner().invoke(args=words)
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.fixture
def fill(app):
    """Return a function that stores rows of a certain age in the tables that are pruned."""

    def store(count, *, expires, happened):
        with app.app_context():
            user_id = db.session.scalar(select(User.id).order_by(User.id))
            ended = [old_session(user_id, expires) for _ in range(count)]
            listed = [{"jti": f"old-{next(numbers)}", "expires_at": expires} for _ in range(count)]
            used = {"user_id": user_id, "last_used_at": expires - timedelta(days=180)}
            devices = [{"digest": f"old-{next(numbers)}", **used} for _ in range(count)]
            proofs = [old_proof(user_id, expires) for _ in range(count)]
            events = [{"event": Event.LOGIN_REFUSED, "at": happened} for _ in range(count)]
            pending = [
                {"idx": 1_000_000 + next(numbers), "allocated_at": expires} for _ in range(count)
            ]
            for table, content in (
                (Session, ended),
                (PendingIndex, pending),
                (TokenBlocklist, listed),
                (Device, devices),
                (PendingAuthentication, proofs),
                (AuditEvent, events),
            ):
                db.session.execute(insert(table), content)
            db.session.commit()

    return store


def old_session(user_id, expires):
    used = expires - timedelta(days=7)
    times = dict.fromkeys(("created_at", "last_used_at", "authenticated_at"), used)
    number = next(numbers)
    named = {"id": uuid4(), "user_id": user_id, "refresh_jti": f"old-{number}"}
    return {**named, **times, "expires_at": expires, "status_idx": 1_000_000 + number}


def old_proof(user_id, expires):
    named = {"digest": f"old-{next(numbers)}", "kind": "proof", "user_id": user_id}
    return {**named, "expires_at": expires}


def ages():
    """Return arguments of ``fill`` for rows that have just become old enough to be pruned."""
    return {
        "expires": now() - timedelta(hours=1, seconds=1),
        "happened": now() - timedelta(days=365, seconds=1),
    }


def test_two_hundred_refreshes_of_twenty_sessions_leave_as_many_rows_as_before(ada, tables):
    chain = [ada.tokens.refresh, *(ada.login().refresh for _ in range(19))]
    before = tables()
    assert before["sessions"] == 20
    for n in range(10 * SOAK):
        with later(minutes=5 * n):
            for i, token in enumerate(chain):
                key = f"{KEY}{n}" if i % 2 else None
                answer = ada.refresh(token, key=key)
                if i % 10 == 1:
                    answer = ada.refresh(token, key=key)
                assert answer.status_code == 200
                chain[i] = answer.json["refresh"]
    assert tables() == before


def test_a_reuse_is_one_row_of_the_trail_and_one_mail_however_often_it_is_tried(ada, tables):
    first = ada.login().refresh
    ada.refresh(first)
    before = tables()
    for _ in range(10):
        assert ada.refresh(first).json["code"] == "token_reused"
    more = {name: before[name] + 1 for name in ("audit_events", "outbox")}
    assert tables() == before | more


def test_the_command_deletes_all_that_has_expired_and_nothing_that_protects(
    ada, fill, flask, tables
):
    blocked, over, rotated = ada.login(), ada.login(), ada.login()
    ada.revoke(blocked.access)
    ada.logout(refresh=over.refresh)
    ada.refresh(rotated.refresh)
    fill(3, expires=now() - timedelta(minutes=59), happened=now() - timedelta(days=364))
    before = tables()
    fill(2500, **ages())
    assert json.loads(flask("tokens", "prune", "--json")) == {"deleted": 15_000}
    assert tables() == before
    assert json.loads(flask("tokens", "prune", "--json")) == {"deleted": 0}
    assert ada.user(blocked.access).json["code"] == "token_revoked"
    assert ada.user(over.access).json["code"] == "token_revoked"
    assert ada.refresh(over.refresh).json["code"] == "token_revoked"
    assert ada.refresh(rotated.refresh).json["code"] == "token_reused"


def test_a_row_stays_for_as_long_as_a_token_that_it_speaks_of(ada, flask):
    blocked, over = ada.login(), ada.login()
    ada.revoke(blocked.access)
    ada.logout(access=over.access)
    with later(minutes=58):
        flask("tokens", "prune")
        assert ada.user(blocked.access).json["code"] == "token_revoked"
        assert ada.user(over.access).json["code"] == "token_revoked"
    with later(days=6, hours=23):
        flask("tokens", "prune")
        assert ada.refresh(over.refresh).json["code"] == "token_revoked"
        assert ada.refresh(blocked.refresh).status_code == 200
    with later(days=7):
        flask("tokens", "prune")
        assert ada.refresh(over.refresh).json["code"] == "token_expired"


def plan_badly(connection):
    """Make PostgreSQL run a subquery once a row, as it may with old statistics."""
    if connection.dialect.name == "postgresql":
        for good in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
            connection.exec_driver_sql(f"SET LOCAL enable_{good} TO off")


def test_the_command_works_in_batches_a_transaction_each(ada, app, fill, flask):
    fill(2500, **ages())
    deleted = [[]]  # how many rows each DELETE took, transaction by transaction

    def note(connection, cursor, statement, *_):
        if statement.startswith("DELETE"):
            deleted[-1].append(cursor.rowcount)

    def end(connection):
        deleted.append([])

    with app.app_context():
        engine = db.engine
    listeners = {"begin": plan_badly, "after_cursor_execute": note, "commit": end}
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        flask("tokens", "prune")
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
    assert [batch for batch in deleted if any(batch)] == [
        [LARGE_BATCH] * 6 + NO_TAKEOVER,
        [LARGE_BATCH] * 6 + NO_TAKEOVER,
        [500] * 6 + NO_TAKEOVER,
    ]


@pytest.mark.parametrize("write", ["login", "register", "revoke"])
def test_an_ordinary_write_takes_a_small_batch_of_expired_rows_with_it(
    ada, app, fill, setting, tables, write
):
    setting("SESSIONS_PER_USER", 1000)
    token = ada.login().access
    before = tables()
    fill(2 * BATCH + 5, **ages())
    for left in (BATCH + 5, 5, 0):
        fresh = Caller(app.test_client(), f"guest{next(numbers)}@example.com")
        call = {"login": ada.login, "register": fresh.register}.get(write)
        call() if call else ada.revoke(token)
        was, now_ = before, tables()
        assert now_["sessions"] - was["sessions"] - left in range(4)  # 3 new ones at most
        assert now_["token_blocklist"] - was["token_blocklist"] - left in range(2)
        assert now_["devices"] - was["devices"] - left in range(4)
        assert now_["pending_authentications"] == left
        assert now_["audit_events"] - was["audit_events"] - left in range(4)


def test_reads_and_refreshes_do_not_prune(ada, fill, tables):
    fill(5, **ages())
    before = tables()
    ada.user()
    ada.get("/api/sessions/")
    ada.refresh()
    assert tables() == before


def test_the_trail_is_kept_for_as_long_as_the_setting_says(ada, setting, flask, trail, rows):
    with later(days=29):
        ada.login()
    kept = [Event.USER_REGISTERED, Event.LOGIN_SUCCEEDED]
    setting("AUDIT_RETENTION", 30)
    with later(days=30, seconds=-5):
        flask("tokens", "prune")
        assert trail() == kept
    with later(days=30, seconds=5):
        flask("tokens", "prune")
        assert trail() == kept[1:]
    with later(days=60):
        ada.login()
        assert trail() == [Event.LOGIN_SUCCEEDED]
        assert rows(select(AuditEvent.at))[0] == now()


def test_pruning_beside_logins_disturbs_nobody(ada, app, fill, rows):
    """Three logins at a time: how SQLite treats a crowd of writers is for servers/races."""
    for _ in range(SOAK):
        with app.app_context():
            app.extensions["pycoder.limits"].storage.reset()
        fill(2500, **ages())
        fill(5, expires=now() + timedelta(days=1), happened=now())
        kept = [Tokens(*ada.login()) for _ in range(3)]
        ada.revoke(kept[0].access)
        ada.logout(access=kept[1].access)

        def sign_in(_):
            guest = Caller(app.test_client(), f"guest{next(numbers)}@example.com")
            assert guest.register().status_code == 201
            assert guest.refresh(guest.login().refresh).status_code == 200
            return guest

        with ThreadPoolExecutor(5) as pool:
            pruners = [pool.submit(prune_in_a_thread, app) for _ in range(2)]
            guests = list(pool.map(sign_in, range(9)))
            pruned = sum(pruner.result() for pruner in pruners)
        assert 0 < pruned <= 15_000
        old = Session.expires_at <= now() - timedelta(hours=1)
        assert rows(select(func.count(Session.id)).where(old)) == [0]
        for guest in guests:
            assert guest.user().status_code == 200
        assert ada.user(kept[0].access).json["code"] == "token_revoked"
        assert ada.user(kept[1].access).json["code"] == "token_revoked"
        assert ada.user(kept[2].access).status_code == 200


def prune_in_a_thread(app):
    with app.app_context():
        return pruning.prune()


def in_use(caller):
    """Return how many of the caller's sessions there are."""
    return len(caller.get("/api/sessions/").json)


def test_one_session_too_many_ends_the_one_used_least_recently(ada, bob, setting, rows, trail):
    setting("SESSIONS_PER_USER", 3)
    pairs = [ada.tokens]
    for n in (1, 2):
        with later(seconds=n):
            pairs.append(ada.login())
    with later(seconds=3):
        pairs[0] = Tokens(**ada.refresh(pairs[0].refresh).json)
    with later(seconds=4):
        newest = ada.login()
    with later(seconds=5):
        assert ada.user(pairs[1].access).json["code"] == "token_revoked"
        assert ada.refresh(pairs[1].refresh).json["code"] == "token_revoked"
        for pair in (pairs[0], pairs[2], newest):
            assert ada.user(pair.access).status_code == 200
        assert bob.user().status_code == 200
        assert in_use(ada) == 3
    assert trail().count(Event.SESSION_ENDED) == 1
    reasons = rows(select(AuditEvent.reason).where(AuditEvent.event == Event.SESSION_ENDED))
    assert reasons == ["too many sessions"]


def test_ended_sessions_make_room_before_any_that_is_in_use(ada, setting, tables):
    setting("SESSIONS_PER_USER", 3)
    with later(seconds=1):
        used = ada.login()
    with later(seconds=2):
        ended = ada.login()
        ada.logout(access=ended.access)
    with later(seconds=3):
        ada.login()
        assert ada.user(used.access).status_code == 200
        assert in_use(ada) == 3
        assert tables()["sessions"] == 3
        assert ada.user(ended.access).json["code"] == "token_revoked"
        assert ada.refresh(ended.refresh).json["code"] == "token_revoked"


def test_an_expired_session_does_not_take_the_place_of_one_in_use(ada, setting):
    """A session that was refreshed to its very end was used later than others that live on."""
    setting("SESSIONS_PER_USER", 2)
    token = ada.tokens.refresh
    for day in range(6, 85, 6):
        with later(days=day):
            token = ada.refresh(token).json["refresh"]
    with later(days=85):
        other = ada.login()
    with later(days=89):
        assert ada.refresh(token).status_code == 200
    with later(days=90, hours=1):
        ada.login()
        assert ada.refresh(other.refresh).status_code == 200


def test_a_user_never_has_more_sessions_than_the_cap(ada, app, fill, tables):
    cap = app.config["SESSIONS_PER_USER"]
    assert cap == 100
    fill(cap + 10, expires=now() + timedelta(days=1), happened=now())
    newest = ada.login()
    assert tables()["sessions"] == cap
    assert in_use(ada) == cap
    assert ada.refresh(newest.refresh).status_code == 200


def test_new_counters_take_expired_ones_with_them(app, anyone, tables):
    with app.app_context():
        expired = [{"key": f"old-{n}", "count": 1, "expires_at": 1.0} for n in range(100)]
        db.session.execute(insert(RateLimit), expired)
        db.session.commit()
    for n in range(10):
        anyone.try_login(email=f"nobody{n}@example.com")
    assert tables()["rate_limits"] == 11  # ten names, one address


def test_no_secret_that_is_handed_out_stands_in_the_database(ada, rows, mails):
    """Whoever reads a backup can open nothing with it."""
    [verification] = mails()
    ada.client.post("/api/password/reset/", json={"email": ada.email})
    [reset] = mails()
    body = {"email": "ada@example.org", "password": ada.password}
    assert ada.call("POST", "/api/email/change/", json=body).status_code == 202
    change = next(mail for mail in mails() if "#token" in mail.text)
    first = ada.tokens
    second = Tokens(**ada.refresh(first.refresh, key=KEY).json)
    assert ada.revoke(second.access).status_code == 200
    ada.try_login(email="a-password-typed-as-the-name")
    device = ada.client.get_cookie("device", path="/api/").value
    secrets = [*first, *second, verification.token, reset.token, change.token, KEY, device]
    secrets += [token.rpartition(".")[2] for token in (*first, *second)]
    secrets += [ada.password, "a-password-typed-as-the-name"]
    stored = [
        str(value)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        for value in rows(select(column))
    ]
    assert "ada@example.com" in stored
    assert [secret for secret in secrets if any(secret in value for value in stored)] == []
