"""A user's own data: sessions, activity and export."""

from uuid import uuid4

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.models.mail import OneTimeToken
from pycoder.models.session import Session
from tests.support.callers import Caller, Tokens
from tests.support.clocks import later
from tests.support.emails import move, rename


def devices(caller):
    response = caller.get("/api/sessions/")
    assert response.status_code == 200
    return response.json


def test_sessions_are_listed_with_the_current_one_marked(ada, bob):
    first = ada.tokens
    ada.login()
    listed = devices(ada)
    assert [session["current"] for session in listed] == [True, False]
    assert set(listed[0]) == {
        "id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "current",
    }  # fmt: skip
    assert listed[0]["ip"] == "127.0.0.1"
    ada.refresh(first.refresh)
    assert [session["current"] for session in devices(ada)] == [False, True]


def test_one_session_can_be_ended_and_the_others_live(ada, trail):
    other = ada.tokens
    ada.login()
    current, first = devices(ada)
    for _ in range(2):
        assert ada.call("DELETE", f"/api/sessions/{first['id']}/").status_code == 204
    assert ada.user(other.access).json["code"] == "token_revoked"
    assert ada.refresh(other.refresh).json["code"] == "token_revoked"
    assert [session["id"] for session in devices(ada)] == [current["id"]]
    assert trail().count(Event.SESSION_ENDED) == 1


def test_the_current_session_can_be_ended_too(ada):
    current = devices(ada)[0]
    assert ada.call("DELETE", f"/api/sessions/{current['id']}").status_code == 204
    assert ada.user().json["code"] == "token_revoked"


def test_all_other_sessions_can_be_ended(ada, bob, trail):
    others = [ada.login() for _ in range(3)]
    kept = ada.login()
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    for pair in others:
        assert ada.user(pair.access).json["code"] == "token_revoked"
        assert ada.refresh(pair.refresh).json["code"] == "token_revoked"
    assert ada.user(kept.access).status_code == 200
    assert bob.user().status_code == 200
    assert len(devices(ada)) == 1
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    assert trail().count(Event.SESSIONS_ENDED) == 1


@pytest.mark.parametrize("other", ["somebody else's", "nobody's"])
def test_a_session_of_somebody_else_is_not_there(ada, bob, rows, other):
    bobs = devices(bob)[0]["id"] if other == "somebody else's" else uuid4()
    response = ada.call("DELETE", f"/api/sessions/{bobs}/")
    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert bob.user().status_code == 200


def test_a_session_id_that_is_none_is_not_there(ada):
    assert ada.call("DELETE", "/api/sessions/1/").status_code == 404


def test_activity_is_ones_own_newest_first(ada, bob):
    Caller(ada.client, ada.email, "wrong").try_login()
    pair = ada.login()
    ada.logout(access=ada.login().access)
    events = ada.get("/api/user/activity/", pair.access).json
    assert [event["event"] for event in events] == [
        "session.ended", "login.succeeded", "login.succeeded", "login.refused", "user.registered",
    ]  # fmt: skip
    assert set(events[0]) == {"event", "at", "ip", "user_agent", "session", "by_admin"}
    assert events[0]["session"] == events[1]["session"]


def test_activity_ends_at_fifty(ada):
    for _ in range(30):
        ada.logout(access=ada.login().access)
    pair = ada.login()
    assert len(ada.get("/api/user/activity/", pair.access).json) == 50


def test_a_call_that_is_repeated_pushes_no_other_event_out_of_the_activity(ada):
    def repeat(times):
        for n in range(times):
            old, answer = ada.tokens, ada.refresh()
            ada.tokens = Tokens(**answer.json)
            assert ada.revoke(old.access).status_code == 200
            assert rename(ada, first_name=f"Ada {now()} {n}").status_code == 200
        return [event["event"] for event in ada.get("/api/user/activity/").json]

    begun = ["login.succeeded", "user.registered"]
    ada.login()
    noise = ["user.updated", "token.revoked"]
    assert repeat(28) == noise + begun
    with later(minutes=61):
        assert repeat(2) == [*reversed(noise), *noise, *begun]


def test_the_export_holds_everything_and_no_secret(ada, bob, rows):
    ada.logout(access=ada.login().access)
    response = ada.get("/api/user/export/", ada.login().access)
    document = response.json
    assert document["user"]["email"] == "ada@example.com"
    assert len(document["sessions"]) == 3
    assert [session["ended_at"] is None for session in document["sessions"]].count(False) == 1
    assert {session["transport"] for session in document["sessions"]} == {"body"}
    for session in document["sessions"]:
        assert (session["authenticated_at"], session["amr"]) == (session["created_at"], "pwd")
    assert len(document["events"]) == 4
    assert {len(event["request_id"]) for event in document["events"]} == {32}
    assert {event["reason"] for event in document["events"]} == {None}
    assert "bob" not in response.text
    for secret in (*rows(select(Session.refresh_jti)), "hash", "$bcrypt", ada.password):
        assert secret not in response.text


def test_the_export_holds_links_and_mails_that_are_on_their_way(ada, bob, mails, rows):
    def exported():
        return ada.get("/api/user/export/").json

    ada.client.post("/api/password/reset/", json={"email": "ADA@example.com"})
    assert move(ada, "new@example.com").status_code == 202
    waiting, links = exported()["mails"], exported()["links"]
    assert links == []
    assert [(mail["template"], mail["to"]) for mail in waiting] == [
        ("verify_email", "ada@example.com"),
        ("reset_password", "ada@example.com"),
        ("change_email", "new@example.com"),
        ("email_change_asked", "ada@example.com"),
    ]
    assert {mail["ip"] for mail in waiting} == {"127.0.0.1"}
    mails()
    assert exported()["mails"] == []
    assert [(link["purpose"], link["email"]) for link in exported()["links"]] == [
        ("change_email", "new@example.com"),
        ("reset_password", None),
        ("verify_email", None),
    ]
    for digest in rows(select(OneTimeToken.digest)):
        assert digest not in ada.get("/api/user/export/").text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions/"),
        ("DELETE", "/api/sessions/"),
        ("DELETE", "/api/sessions/00000000-0000-4000-8000-000000000000/"),
        ("GET", "/api/user/activity/"),
        ("GET", "/api/user/export/"),
    ],
)
def test_all_of_it_wants_a_good_access_token(ada, method, path):
    assert ada.client.open(path, method=method).json["code"] == "token_missing"
    assert ada.call(method, path, ada.tokens.refresh).json["code"] == "token_invalid"
    ada.logout(access=ada.tokens.access)
    assert ada.call(method, path).json["code"] == "token_revoked"
