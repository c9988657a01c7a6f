"""The lists of the admin API: pages by key, filters, searches, and hostile queries."""

import pytest
from sqlalchemy import event, insert, text

from pycoder.accounts import directory
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.role import UserRole
from pycoder.models.user import User, normalize_identifier

USERS, EVENTS = "/api/admin/users/", "/api/admin/events/"


@pytest.fixture
def crowd(app, root):
    """Accounts with these usernames, in this order."""
    names = ["ana", "anab", "an_x", "an%y", "ana\u0301n", "Ανα", "אבגד", "zoe", "an\U00010330x"]
    names += [f"member{number:03}" for number in range(60)]
    rows = [
        {
            "email": f"box{number}@example.com",
            "email_key": f"box{number}@example.com",
            "username": name,
            "username_key": normalize_identifier(name),
            "password_hash": "!",
            "is_active": number % 10 != 0,
            "handle": bytes(32),
            "date_joined": now(),
        }
        for number, name in enumerate(names)
    ]
    with app.app_context():
        db.session.execute(insert(User), rows)
        ids = dict(db.session.execute(db.select(User.username, User.id)).all())
        roles = [{"user_id": ids[name], "role": "editor"} for name in names[::2]]
        db.session.execute(insert(UserRole), roles)
        db.session.commit()
    return ids


@pytest.fixture
def ask(root):
    """Return a function that asks for a list as ``root``."""

    def call(path=USERS, **query):
        return root.get(path, query_string=query)

    return call


def names(answer):
    assert answer.status_code == 200, answer.json
    return [one["username"] for one in answer.json["items"]]


def codes(answer):
    assert (answer.status_code, answer.json["code"]) == (400, "validation_error")
    return {field: one["code"] for field, [one] in answer.json["error_codes"].items()}


@pytest.mark.parametrize("query", [{}, {"role": "editor"}, {"active": "true"}, {"q": "member"}])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_the_pages_are_the_list(query, limit, crowd, ask):
    whole = ask(**query, limit=100).json
    assert whole["next"] is None
    after, items = 0, []
    while after is not None:
        page = ask(**query, limit=limit, after=after).json
        assert len(page["items"]) <= limit
        items += page["items"]
        after = page["next"]
    assert items == whole["items"]
    assert [one["id"] for one in items] == sorted({one["id"] for one in items})
    assert len(items) > 20


def test_a_page_has_fifty_items_by_default(crowd, ask):
    page = ask().json
    assert len(page["items"]) == 50
    assert page["next"] == page["items"][-1]["id"]


def test_the_filters_hold_together(crowd, ask):
    by_role = set(names(ask(role="editor", limit=100)))
    inactive = set(names(ask(active="false", limit=100)))
    members = set(names(ask(q="member", limit=100)))
    assert len(inactive) == 7
    assert set(names(ask(role="editor", active="false"))) == by_role & inactive
    assert set(names(ask(role="editor", q="member"))) == by_role & members
    assert set(names(ask(q="member", active="false"))) == members & inactive
    assert names(ask(role="ghost")) == []


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ana", ["ana", "anab"]),
        ("ANA", ["ana", "anab"]),
        ("  ana\u200b", ["ana", "anab"]),
        ("\uff41\uff4e\uff41", ["ana", "anab"]),  # full width
        ("an_", ["an_x"]),
        ("an%", ["an%y"]),
        ("%", []),
        ("_", []),
        ("*", []),
        ("'; DROP TABLE users; --", []),
        ("\\", []),
        ("ΑΝΑ", ["Ανα"]),
        ("אב", ["אבגד"]),
        ("\u202eana", ["ana", "anab"]),
        ("an\U00010330", ["an\U00010330x"]),
        ("\U0010ffff", []),
        ("box7@", ["zoe"]),
        ("BOX7@EXAMPLE.com", ["zoe"]),
        ("zoex", []),
        ("example.com", []),
        ("9" * 18, []),
        ("9" * 200, []),
    ],
)
@pytest.mark.parametrize("few", [1000, 0])
def test_a_search_is_for_a_beginning(q, found, few, crowd, ask, monkeypatch):
    monkeypatch.setattr(directory, "FEW", few)
    assert names(ask(q=q)) == found


def test_a_search_by_id_finds_that_account(crowd, ask):
    assert names(ask(q=str(crowd["zoe"]))) == ["zoe"]
    assert names(ask(q=str(crowd["zoe"]), after=crowd["zoe"])) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "a\0b"}, {"q": "invalid_characters"}),
        ({"q": "a\nb"}, {"q": "invalid_characters"}),
        ({"q": "x" * 10_240}, {"q": "too_long"}),
        ({"q": "9" * 10_240}, {"q": "too_long"}),
        ({"role": "x" * 10_240}, {"role": "invalid_role"}),
        ({"role": "a\0"}, {"role": "invalid_role"}),
        ({"role": "Editor"}, {"role": "invalid_role"}),
        ({"role": ""}, {"role": "invalid_role"}),
        ({"active": "maybe"}, {"active": "not_a_boolean"}),
        ({"limit": "0"}, {"limit": "invalid_number"}),
        ({"limit": "101"}, {"limit": "invalid_number"}),
        ({"limit": "-1"}, {"limit": "invalid_number"}),
        ({"limit": "1.5"}, {"limit": "invalid_number"}),
        ({"after": "-1"}, {"after": "invalid_number"}),
        ({"after": str(2**63)}, {"after": "invalid_number"}),
        ({"after": "9" * 5000}, {"after": "invalid_number"}),
        ({"after": "1 OR 1=1"}, {"after": "invalid_number"}),
        ({"after": "eyJpZCI6MX0="}, {"after": "invalid_number"}),
        ({"after": ""}, {"after": "invalid_number"}),
        ({"page": "2"}, {"page": "unknown_field"}),
    ],
)
def test_a_forged_query_is_refused(query, expected, ask):
    assert codes(ask(**query)) == expected
    if not {"q", "role", "active"} & query.keys():
        assert codes(ask(EVENTS, **query)) == expected


def test_a_cursor_beyond_the_end_finds_nothing(crowd, ask):
    assert ask(after=2**63 - 1).json == {"items": [], "next": None}
    assert ask(EVENTS, after=0).json == {"items": [], "next": None}


def test_bytes_that_are_no_text_find_nothing(root):
    answer = root.get("/api/admin/users/?q=%ff%fe%ed%a0%80")
    assert (answer.status_code, answer.json["items"]) == (200, [])


def test_the_trail_is_listed_newest_first_and_filtered(ada, root, ask):
    ada.login()
    ada.try_login(password="some other pass phrase")
    everything = ask(EVENTS, limit=100).json["items"]
    ids = [one["id"] for one in everything]
    assert ids == sorted(ids, reverse=True)
    read, after = [], 2**63 - 1
    while after is not None:
        page = ask(EVENTS, limit=2, after=after).json
        read, after = read + page["items"], page["next"]
    assert read == everything
    ada_id = ada.user().json["id"]
    of_ada = ask(EVENTS, user=ada_id).json["items"]
    assert of_ada == [one for one in everything if one["user_id"] == ada_id]
    refused = ask(EVENTS, event="login.refused").json["items"]
    assert [(one["user_id"], one["reason"]) for one in refused] == [(ada_id, "wrong password")]
    both = ask(EVENTS, event="login.refused", user=root.user().json["id"]).json["items"]
    assert both == []
    assert set(refused[0]) == {
        *("id", "event", "reason", "at", "user_id", "actor_id"),
        *("session", "ip", "user_agent", "request_id"),
    }


def test_an_account_is_shown_with_its_sessions_and_events(ada, root):
    ada.login()
    ada_id = ada.user().json["id"]
    shown = root.get(f"{USERS}{ada_id}/").json
    assert len(shown["sessions"]) == 2
    assert "current" not in shown["sessions"][0]
    assert [one["event"] for one in shown["events"]] == ["login.succeeded", "user.registered"]
    assert {one["user_id"] for one in shown["events"]} == {ada_id}


@pytest.fixture
def plans(app, database, crowd):
    """Return a function that calls a list, and returns the plans of its statements."""

    def explain(call, **query):
        plans = []
        with app.app_context():
            others = [{"event": "user.updated", "user_id": 0}] * 2000
            db.session.execute(insert(AuditEvent), others)
            if database == "postgresql":  # so few rows are not worth an index
                db.session.execute(text("ANALYZE"))
                for path in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
                    db.session.execute(text(f"SET LOCAL enable_{path} = off"))
            prefix = "EXPLAIN " if database == "postgresql" else "EXPLAIN QUERY PLAN "
            told = []

            def note(connection, cursor, statement, parameters, context, many):
                told.append((statement, parameters))

            event.listen(db.engine, "before_cursor_execute", note)
            try:
                call(**query)
            finally:
                event.remove(db.engine, "before_cursor_execute", note)
            for statement, parameters in told:
                rows = db.session.connection().exec_driver_sql(prefix + statement, parameters)
                plans.append("\n".join(str(row[-1]) for row in rows))
        return plans

    return explain


QUERIES = [
    ({}, ["pk_users|INTEGER PRIMARY KEY"]),
    ({"role": "editor"}, ["ix_user_roles_role_user_id|pk_user_roles"]),
    ({"active": False}, ["ix_users_inactive"]),
    ({"q": "12"}, ["pk_users|INTEGER PRIMARY KEY"]),
    (
        {"q": "ana"},
        [
            "uq_users_email_key|sqlite_autoindex_users_1|email_key>",
            "uq_users_username_key|sqlite_autoindex_users_2|username_key>",
            "pk_users|INTEGER PRIMARY KEY",
        ],
    ),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_every_list_of_accounts_uses_an_index(query, expected, plans):
    found = plans(directory.list_users, **{"after": 5, "limit": 50, **query})
    assert len(found) == len(expected)
    for plan, indexes in zip(found, expected, strict=True):
        assert any(index in plan for index in indexes.split("|")), plan
        assert "Seq Scan" not in plan
        assert "SCAN users" not in plan
        assert "Sort" not in plan or "q" in query, plan
        assert "TEMP B-TREE" not in plan or "q" in query, plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "pk_audit_events|INTEGER PRIMARY KEY"),
        ({"user": 1}, "ix_audit_events_user_id_id"),
        ({"event": "login.succeeded"}, "ix_audit_events_event_id"),
    ],
)
def test_every_list_of_events_uses_an_index(query, index, plans):
    arguments = {"user": None, "event": None, "after": 10**6, "limit": 50, **query}
    [plan] = plans(directory.list_events, **arguments)
    assert any(name in plan for name in index.split("|")), plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
