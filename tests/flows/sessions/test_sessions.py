"""Sessions: login, refresh, reuse, logout and revocation."""

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.errors import TokenRevoked
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session, TokenBlocklist
from pycoder.sessions import lifecycle, pruning
from pycoder.tokens.jwt import decode_token
from pycoder.tokens.state import load_token_state
from tests.support.clocks import later

KEY = "0123456789abcdef"


def test_login_by_address_or_username_starts_a_session(ada, rows, trail):
    for body in ({"email": "ada@example.com"}, {"username": "ada"}, {"email": "ADA"}):
        response = ada.client.post("/api/login/", json={**body, "password": ada.password})
        assert response.status_code == 200
        assert response.json["user"]["email"] == "ada@example.com"
    assert rows(select(func.count(Session.id))) == [4]
    assert trail()[-1] == Event.LOGIN_SUCCEEDED


def test_login_takes_one_name(ada):
    for names in ({}, {"email": "ada@example.com", "username": "ada"}):
        response = ada.client.post("/api/login/", json={**names, "password": ada.password})
        assert list(response.json["errors"]) == ["email"]


def test_refusals_at_login_are_alike_and_only_the_trail_tells_them_apart(
    ada, bob, anyone, app, rows
):
    with app.app_context():
        administration.set_active(administration.find_user("bob@example.com"), False)
    anyone.email = "nobody@example.com"
    answers = []
    for response in (ada.try_login(password="wrong"), bob.try_login(), anyone.try_login()):
        body = {**response.json, "request_id": ""}
        headers = {k: v for k, v in response.headers if k != "X-Request-ID"}
        answers.append((response.status_code, body, headers))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["code"] == "invalid_credentials"
    reasons = rows(select(AuditEvent.reason).where(AuditEvent.event == Event.LOGIN_REFUSED))
    assert sorted(reasons) == ["deactivated account", "unknown account", "wrong password"]


def test_a_refresh_rotates_and_leaves_no_row(ada, rows):
    before = rows(select(func.count(AuditEvent.id)))
    first = ada.login()
    second = ada.refresh().json
    assert {second["access"], second["refresh"]}.isdisjoint(first)
    assert ada.user(second["access"]).status_code == 200
    assert ada.user(first.access).status_code == 200
    for _ in range(5):
        second = ada.refresh(second["refresh"]).json
    assert rows(select(func.count(Session.id))) == [2]
    assert rows(select(TokenBlocklist)) == []
    assert rows(select(func.count(AuditEvent.id)))[0] == before[0] + 1


def test_reuse_ends_one_session_and_no_other(ada, rows):
    other = ada.tokens
    first = ada.login()
    second = ada.refresh(first.refresh).json
    third = ada.refresh(second["refresh"]).json
    assert ada.refresh(first.refresh).json["code"] == "token_reused"
    for token in (first.access, second["access"], third["access"]):
        assert ada.user(token).json["code"] == "token_revoked"
    assert ada.refresh(third["refresh"]).json["code"] == "token_revoked"
    assert ada.refresh(second["refresh"]).json["code"] == "token_reused"
    assert ada.user(other.access).status_code == 200
    reused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.SESSION_REUSED)
    assert rows(reused) == [1]


def jti(app, token):

    with app.test_request_context():
        return decode_token(token)["jti"]


def test_a_repeated_refresh_with_its_key_yields_the_same_successor(ada, app):
    first = ada.login().refresh
    answers = [ada.refresh(first, key=KEY).json["refresh"] for _ in range(3)]
    assert len({jti(app, token) for token in answers}) == 1
    assert ada.refresh(answers[-1]).status_code == 200


@pytest.mark.parametrize("key", ["another-key", None])
def test_a_repeated_refresh_without_its_key_is_reuse(ada, key):
    first = ada.login().refresh
    assert ada.refresh(first, key=KEY).status_code == 200
    assert ada.refresh(first, key=key).json["code"] == "token_reused"
    assert ada.refresh(first, key=KEY).json["code"] == "token_revoked"


def test_a_successor_that_was_used_ends_the_right_to_repeat(ada):
    first = ada.login().refresh
    second = ada.refresh(first, key=KEY).json["refresh"]
    assert ada.refresh(second, key=KEY).status_code == 200
    assert ada.refresh(first, key=KEY).json["code"] == "token_reused"


def test_a_repeat_is_good_for_five_minutes(ada):
    first = ada.login().refresh
    assert ada.refresh(first, key=KEY).status_code == 200
    with later(minutes=4, seconds=58):
        assert ada.refresh(first, key=KEY).status_code == 200
    with later(minutes=5, seconds=1):
        assert ada.refresh(first, key=KEY).json["code"] == "token_reused"


@pytest.mark.parametrize("key", ["short", "x" * 129, "with space in it", "ümlaut-ümlaut"])
def test_a_key_is_8_to_128_visible_ascii_characters(ada, key):
    response = ada.refresh(key=key)
    assert list(response.json["errors"]) == ["Idempotency-Key"]
    assert ada.refresh().status_code == 200


def test_a_leeway_is_for_callers_without_a_key(ada, app, setting):
    setting("REFRESH_REUSE_LEEWAY", 10)
    first = ada.login().refresh
    second = ada.refresh(first).json["refresh"]
    assert jti(app, ada.refresh(first).json["refresh"]) == jti(app, second)
    with later(seconds=11):
        assert ada.refresh(first).json["code"] == "token_reused"
    keyed = ada.login().refresh
    assert ada.refresh(keyed, key=KEY).status_code == 200
    assert ada.refresh(keyed).json["code"] == "token_reused"


def test_no_leeway_hands_the_pair_of_a_new_password_to_the_token_from_before(ada, setting):
    setting("REFRESH_REUSE_LEEWAY", 10)
    before = ada.login().refresh
    body = {"current_password": ada.password, "new_password": "another pass phrase of Ada"}
    assert ada.call("POST", "/api/password/change/", json=body).status_code == 200
    assert ada.refresh(before).json["code"] == "token_revoked"


def test_a_session_ends_for_good_however_often_it_is_refreshed(ada):
    token = ada.login().refresh
    for day in range(6, 90, 6):
        with later(days=day):
            token = ada.refresh(token).json["refresh"]
    with later(days=90, seconds=-5):
        last = ada.refresh(token).json
    with later(days=90, seconds=1):
        assert ada.refresh(last["refresh"]).json["code"] == "token_expired"
        assert ada.user(last["access"]).json["code"] == "token_expired"


def test_a_session_that_is_not_used_ends_after_seven_days(ada):
    with later(days=7, seconds=1):
        assert ada.refresh().json["code"] == "token_expired"


def test_logout_is_over_at_once_and_says_the_same_twice(ada, trail):
    pair = ada.login()
    for _ in range(2):
        assert ada.logout(access=pair.access).status_code == 204
    assert ada.user(pair.access).json["code"] == "token_revoked"
    assert ada.refresh(pair.refresh).json["code"] == "token_revoked"
    assert trail().count(Event.SESSION_ENDED) == 1


def test_either_token_logs_out(ada):
    for sent in ("access", "refresh"):
        pair = ada.login()
        response = ada.logout(**{sent: getattr(pair, sent)})
        assert (response.status_code, response.data) == (204, b"")
        assert "Content-Type" not in response.headers
        assert ada.user(pair.access).json["code"] == "token_revoked"


def test_a_refresh_token_logs_out_beside_an_expired_access_token(ada):
    pair = ada.login()
    with later(hours=2):
        assert ada.logout(access=pair.access).json["code"] == "token_expired"
        assert ada.logout(access=pair.access, refresh=pair.refresh).status_code == 204
        assert ada.refresh(pair.refresh).json["code"] == "token_revoked"


def test_an_access_token_logs_out_beside_a_broken_refresh_token(ada):
    pair = ada.login()
    assert ada.logout(access=pair.access, refresh="garbage").status_code == 204
    assert ada.refresh(pair.refresh).json["code"] == "token_revoked"


NO_REFRESH_TOKENS = [None, "", "x", "a\0b", "é", "x" * 5000]


@pytest.mark.parametrize("other", NO_REFRESH_TOKENS)
def test_one_good_token_logs_out_whatever_the_other_is(ada, other):
    pair = ada.login()
    headers = {"Authorization": f"Bearer {pair.access}"}
    answer = ada.client.post("/api/logout/", json={"refresh": other}, headers=headers)
    assert answer.status_code == 204
    assert ada.refresh(pair.refresh).json["code"] == "token_revoked"
    assert ada.client.post("/api/logout/", json={"refresh": other}).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Bearer x, Bearer y", "Basic YTpi", "x"])
def test_a_refresh_token_logs_out_whatever_the_header_is(ada, header):
    pair = ada.login()
    headers, body = {"Authorization": header}, {"refresh": pair.refresh}
    assert ada.client.post("/api/logout/", json=body, headers=headers).status_code == 204
    assert ada.user(pair.access).json["code"] == "token_revoked"


def test_tokens_in_each_others_place_do_not_log_out(ada):
    pair = ada.login()
    assert ada.logout(access=pair.refresh).json["code"] == "token_invalid"
    assert ada.logout(refresh=pair.access).json["code"] == "token_invalid"
    assert ada.logout().json["code"] == "token_missing"
    assert ada.user().status_code == 200


def test_logout_of_two_sessions_ends_both(ada):
    one, two = ada.login(), ada.login()
    assert ada.logout(access=one.access, refresh=two.refresh).status_code == 204
    assert ada.user(one.access).status_code == ada.user(two.access).status_code == 401


def test_verify_tells_good_from_bad(ada):
    pair = ada.login()
    for token in pair:
        response = ada.verify(token)
        assert (response.status_code, response.json) == (200, {})
    rotated = ada.refresh(pair.refresh).json
    assert ada.verify(pair.refresh).json["code"] == "token_revoked"
    assert ada.verify("garbage").json["code"] == "token_invalid"
    with later(hours=2):
        assert ada.verify(pair.access).json["code"] == "token_expired"
    ada.logout(access=rotated["access"])
    assert ada.verify(rotated["refresh"]).json["code"] == "token_revoked"


def test_revoking_an_access_token_leaves_its_session(ada, trail):
    pair = ada.login()
    for _ in range(2):
        assert ada.revoke(pair.access, token_type_hint="access_token").status_code == 200
    assert ada.user(pair.access).json["code"] == "token_revoked"
    assert ada.refresh(pair.refresh).status_code == 200
    assert Event.TOKEN_REVOKED in trail()


def test_revoking_a_refresh_token_ends_its_session(ada):
    pair = ada.login()
    response = ada.client.post("/api/token/revoke/", data={"token": pair.refresh, "client_id": "x"})
    assert (response.status_code, response.json) == (200, {})
    assert ada.user(pair.access).json["code"] == "token_revoked"


def test_revoking_what_is_no_token_is_no_error(ada):
    assert ada.revoke("garbage").status_code == 200
    with later(hours=2):
        assert ada.revoke(ada.tokens.access).status_code == 200
    assert ada.user().status_code == 200


def test_deactivating_ends_all_sessions_for_good(ada, app):
    pair = ada.login()
    for active in (False, True):
        with app.app_context():
            administration.set_active(administration.find_user("ada@example.com"), active)
        assert ada.user(pair.access).json["code"] == "token_revoked"
        assert ada.refresh(pair.refresh).json["code"] == "token_revoked"
    assert ada.try_login().status_code == 200


def test_pruning_removes_what_has_expired_and_nothing_that_protects(ada, app, rows):
    revoked, kept = ada.login(), ada.login()
    ada.revoke(revoked.access)
    ada.logout(refresh=kept.refresh)
    with app.app_context():
        assert pruning.prune() == 0
    assert ada.user(revoked.access).json["code"] == "token_revoked"
    with later(hours=1, minutes=59), app.app_context():
        assert pruning.prune() == 0
    with later(hours=2, seconds=1), app.app_context():
        assert pruning.prune() == 1
    with later(days=8):
        ada.login()
        assert rows(select(func.count(Session.id))) == [1]


def test_what_a_device_says_of_itself_is_stored_bounded_and_inert(ada, rows):
    agent = "<script>\u00ff" + "x" * 10_000
    response = ada.client.post(
        "/api/login/",
        json={"email": ada.email, "password": ada.password},
        headers={"User-Agent": agent.encode().decode("latin-1")},
    )
    assert response.status_code == 200
    newest = rows(select(Session).order_by(Session.created_at.desc()))[0]
    assert newest.user_agent.startswith("<script>")
    assert len(newest.user_agent) == 255
    assert newest.ip == "127.0.0.1"


def test_each_sign_in_has_a_session_of_its_own_whatever_is_sent_along(ada, rows):
    [first] = rows(select(Session.id))
    for name in ("sid", "session", "session_id", "access_token_cookie"):
        ada.client.set_cookie(name, str(first), path="/api/")
    headers = {"Authorization": f"Bearer {ada.tokens.access}", "X-Session-ID": str(first)}
    body = {"email": ada.email, "password": ada.password}
    assert ada.client.post("/api/login/", json=body, headers=headers).status_code == 200
    assert len(set(rows(select(Session.id)))) == 2


@pytest.mark.parametrize(
    "agent", ["a\0b", "a\x1b[31mb", "a\nb", "\xff\xfe", "\xed\xa0\x80", "\x85"]
)
def test_what_cannot_be_printed_of_a_device_is_not_stored(ada, rows, agent):
    body = {"email": ada.email, "password": ada.password}
    told = {"HTTP_USER_AGENT": agent}
    answer = ada.client.post("/api/login/", json=body, environ_overrides=told)
    assert answer.status_code == 200
    stored = rows(select(Session.user_agent).order_by(Session.created_at.desc()))[0] or ""
    assert stored.isprintable()
    assert ada.get("/api/sessions/").json[0]["user_agent"] in (stored, None)


def test_a_reused_refresh_token_ends_its_session(ada, trail):
    first = ada.login().refresh
    assert ada.refresh(first).status_code == 200
    assert ada.refresh(first).json["code"] == "token_reused"
    assert ada.user().json["code"] == "token_revoked"
    assert trail()[-1] == Event.SESSION_REUSED


def test_of_two_sessions_that_end_all_others_one_survives(ada, app):
    """The token of the second one was verified before the first one ended it."""
    first, second = ada.login(), ada.login()
    with app.app_context():
        late = load_token_state(decode_token(first.access))
        assert ada.call("DELETE", "/api/sessions/", second.access).status_code == 204
        with pytest.raises(TokenRevoked):
            lifecycle.revoke_other_sessions(late)
        db.session.rollback()
    assert ada.user(second.access).status_code == 200
