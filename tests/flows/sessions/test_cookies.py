"""Tokens in cookies: set, read, and deleted at logout."""

from datetime import timedelta

import pytest
import time_machine

from config import ProductionConfig
from pycoder import db
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.keys.ring import current_ring
from tests.support.application import migrated
from tests.support.callers import Caller
from tests.support.constants import PASSWORD
from tests.support.cookies import (
    ACCESS,
    CSRF,
    EVIL,
    PATHS,
    PREFIXED,
    REFRESH,
    Browser,
    assert_cookie_attributes,
    assert_gone,
    refused,
    set_by,
)


def test_tokens_travel_in_cookies_and_not_in_the_body(grace):
    response = grace.sign_in()
    assert response.json.keys() == {"user", "expires_in", "csrf_token"}
    assert response.json["expires_in"] == 3600
    cookies = set_by(response)
    plain = {name: name for name in PATHS}
    assert_cookie_attributes(cookies, plain, secure=False, max_age=604_800)
    assert cookies[CSRF].value == response.json["csrf_token"]
    for name in (ACCESS, REFRESH):
        assert cookies[name].value not in response.text
    assert grace.user().json["email"] == grace.email


def test_in_production_they_are_secure_and_prefixed(tmp_path):
    settings = {"PUBLIC_URL": "https://id.pycoder.dev", "PASSWORD_BLOCKLIST": "off"}
    with migrated(tmp_path, ProductionConfig, **settings) as app:
        grace = Browser(app)
        signed_in = set_by(grace.register())
        assert_cookie_attributes(signed_in, PREFIXED, secure=True, max_age=604_800)
        assert grace.user().status_code == 200
        assert refused(grace.refresh(csrf="wrong"))
        origin = {"Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"}
        assert grace.call("DELETE", "/api/sessions/", headers=origin).status_code == 204
        http = {"Origin": "http://localhost"}  # whoever can answer there is not we
        assert refused(grace.call("DELETE", "/api/sessions/", headers=http))
        cookies = set_by(grace.logout())
        assert_cookie_attributes(cookies, PREFIXED, secure=True, max_age=0)


def test_a_sign_in_never_adopts_what_was_there(grace, live):
    before = {name: grace.token(name) for name in PATHS}
    grace.sign_in()
    assert not [name for name, value in before.items() if grace.token(name) == value]
    forged = Browser(grace.client.application, grace.email)
    for name in PATHS:
        forged.put(name, "fixed.by.somebody")
    assert forged.sign_in().status_code == 200
    assert forged.user().status_code == 200
    assert live() == 3


# A session remembers its transport


def bodies_of(browser):
    """Yield the answers of everything that hands out tokens."""
    yield browser.sign_in()
    yield browser.refresh()
    first = browser.token(REFRESH)
    yield browser.refresh("key-of-its-own")
    browser.put(REFRESH, first)
    yield browser.refresh("key-of-its-own")  # the answer was lost
    change = {"current_password": PASSWORD, "new_password": PASSWORD[::-1]}
    yield browser.call("POST", "/api/password/change/", json=change)


def test_the_tokens_of_a_cookie_session_are_in_no_body(grace):
    for response in bodies_of(grace):
        assert response.status_code == 200
        assert response.json.keys() - {"user"} == {"expires_in", "csrf_token"}
        changed = response.request.path == "/api/password/change/"  # to a new session
        assert (response.json["csrf_token"] == grace.csrf) is not changed
        assert set_by(response).keys() == PATHS.keys()
        assert grace.token(ACCESS) not in response.text
        assert grace.token(REFRESH) not in response.text
    assert grace.user().status_code == 200


def test_no_later_request_changes_how_they_travel(grace, live):
    asked = grace.refresh(json={"transport": "body"})
    assert refused(asked, "validation_error", 400)
    assert refused(grace.refresh(json={"refresh": grace.token(REFRESH)}), "token_invalid", 401)
    assert grace.refresh().status_code == 200
    assert live() == 1


def test_a_lost_answer_is_given_again_and_a_second_use_ends_the_session(grace, trail, live):
    first = grace.token(REFRESH)
    grace.refresh("key-of-its-own")
    successor = grace.token(REFRESH)
    grace.put(REFRESH, first)
    assert grace.refresh("key-of-its-own").status_code == 200
    assert grace.token(REFRESH) == successor
    assert live() == 1
    grace.put(REFRESH, first)
    assert refused(grace.refresh("key-of-a-thief"), "token_reused", 401)
    assert trail()[-1] == Event.SESSION_REUSED
    assert live() == 0
    assert grace.user().json["code"] == "token_revoked"


def test_the_tokens_of_a_body_session_stay_in_the_body(ada):
    refreshed = ada.refresh()
    assert refreshed.json.keys() == {"access", "refresh"}
    assert set_by(refreshed) == {}
    change = {"current_password": PASSWORD, "new_password": PASSWORD[::-1]}
    changed = ada.call("POST", "/api/password/change/", json=change)
    assert changed.json["tokens"].keys() == {"access", "refresh"}
    assert set_by(changed) == {}
    login = Caller(ada.client, ada.email, PASSWORD[::-1]).try_login(transport="body")
    assert login.json.keys() == {"user", "tokens"}


def test_a_token_is_of_no_use_where_those_of_its_session_do_not_belong(grace, ada, live, trail):
    thief = Caller(grace.client.application.test_client())
    assert thief.user(grace.token(ACCESS)).json["code"] == "token_invalid"
    assert thief.refresh(grace.token(REFRESH)).json["code"] == "token_invalid"
    fixed = Browser(grace.client.application)
    fixed.put(ACCESS, ada.tokens.access)
    fixed.put(REFRESH, ada.tokens.refresh)
    assert refused(fixed.user(), "token_invalid", 401)
    assert refused(fixed.refresh(csrf=grace.csrf), "token_invalid", 401)
    assert trail()[-2:] == [Event.TOKEN_MISPLACED] * 2  # once an hour for each session
    assert refused(fixed.logout(csrf=grace.csrf))
    assert live() == 2


@pytest.mark.parametrize("transport", ["cookies", "", 1, ["cookie"]])
def test_there_are_two_transports(transport, app):
    response = Browser(app).register(transport=transport)
    assert response.status_code == 400
    assert list(response.json["errors"]) == ["transport"]


# More than one cookie of one name


@pytest.mark.parametrize("order", [0, 1])
def test_of_two_cookies_of_one_name_neither_is_taken(order, grace, app, live):
    attacker = Browser(app)
    attacker.register()
    for name in (ACCESS, REFRESH):
        both = [grace.token(name), attacker.token(name)][:: 1 - 2 * order]
        cookie = {"HTTP_COOKIE": "; ".join(f"{name}={value}" for value in both)}
        victim = Browser(app)
        victim.client = app.test_client(use_cookies=False)
        for csrf in (grace.csrf, attacker.csrf):
            path = "/api/user/" if name == ACCESS else "/api/token/refresh/"
            method = "PATCH" if name == ACCESS else "POST"
            answer = victim.call(method, path, csrf=csrf, environ_overrides=cookie)
            assert refused(answer, "token_invalid", 401)
            if name == ACCESS:
                answer = victim.logout(csrf=csrf, environ_overrides=cookie)
                assert refused(answer, "token_invalid", 401)
    assert live() == 2


def test_a_bearer_header_decides_alone_whatever_cookies_are_there(app, grace, ada):
    """Another app on the host may have set them, and no foreign page can send the header."""
    live = grace.token(ACCESS)
    cookies = {
        "another account's": f"{ACCESS}={live}",
        "garbage": f"{ACCESS}=nonsense; {CSRF}=nonsense",
        "a refresh token": f"{ACCESS}={ada.tokens.refresh}",
        "two": f"{ACCESS}={live}; {ACCESS}={ada.tokens.access}",
        "of another app": f"access_token={live}",
    }
    headers = {"Origin": EVIL, "Authorization": f"Bearer {ada.tokens.access}"}
    caller = app.test_client(use_cookies=False)
    for name, cookie in cookies.items():
        for method in ("GET", "PATCH"):
            sent = {"headers": headers, "environ_overrides": {"HTTP_COOKIE": cookie}}
            answer = caller.open("/api/user/", method=method, **sent)
            assert (answer.status_code, answer.json["email"]) == (200, ada.email), name
    for bad, code in (("", "token_missing"), (" nonsense", "token_invalid")):
        answer = grace.call("GET", "/api/user/", headers={"Authorization": f"Bearer{bad}"})
        assert refused(answer, code, 401)
        answer = grace.logout(headers={"Authorization": f"Bearer{bad}"})
        assert refused(answer, code, 401)
    assert grace.user().status_code == 200


def test_a_password_of_the_proxy_leaves_the_cookie_in_force(grace):
    basic = {"Authorization": "Basic YTpi"}
    assert grace.call("GET", "/api/user/", headers=basic).json["email"] == grace.email


def test_a_refresh_token_in_the_body_is_the_one_that_is_meant(grace, ada):
    grace.put(REFRESH, grace.token(REFRESH))
    answer = grace.call("POST", "/api/token/refresh/", json={"refresh": ada.tokens.refresh})
    assert answer.json.keys() == {"access", "refresh"}
    assert set_by(answer) == {}
    assert grace.refresh().status_code == 200


def test_a_refresh_token_that_is_null_leaves_the_cookie_in_force(grace, live):
    assert grace.refresh(json={"refresh": None}).status_code == 200
    for nothing in (None, ""):
        grace.sign_in()
        assert_gone(grace.logout(json={"refresh": nothing}))
    assert live() == 1


def test_logout_deletes_the_cookies_and_ends_the_session(grace, trail):
    kept = grace.token(ACCESS)
    answer = grace.logout()
    assert answer.status_code == 204
    assert_gone(answer)
    assert [grace.token(name) for name in PATHS] == [None] * 3
    assert trail()[-1] == Event.SESSION_ENDED
    grace.put(ACCESS, kept)
    assert grace.user().json["code"] == "token_revoked"
    assert_gone(grace.logout())  # once more is no error


def test_an_expired_access_cookie_signs_out(grace, live):
    with time_machine.travel(now() + timedelta(hours=2)):
        assert grace.user().json["code"] == "token_expired"
        assert refused(grace.logout(csrf="wrong"))
        assert live() == 1
        assert_gone(grace.logout())
    assert live() == 0


def test_an_access_cookie_from_before_tokens_were_to_last_shorter_signs_out(
    app, grace, live, setting
):
    setting("JWT_ACCESS_TOKEN_EXPIRES", 900)
    with app.app_context():
        current_ring().verify.cache_clear()  # as a restart does
    assert grace.user().json["code"] == "token_invalid"
    assert refused(grace.logout(csrf="wrong"))
    assert live() == 1
    assert_gone(grace.logout())
    assert live() == 0


def test_a_stale_cookie_blocks_neither_login_nor_logout(grace, ada, live):
    for stale in ("nonsense", "", "é", ada.tokens.refresh):
        for name in PATHS:
            grace.put(name, stale)
        answer = grace.logout(csrf="wrong")
        if stale:
            assert answer.status_code == 204
            assert_gone(answer)
        else:
            assert refused(answer, "token_missing", 401)
        for name in PATHS:
            grace.put(name, stale)
        assert grace.sign_in().status_code == 200
        assert grace.user().status_code == 200
        assert grace.sign_in(transport="body").status_code == 200
    assert ada.user().status_code == 200


def test_with_a_token_in_hand_logout_ends_that_session_alone(grace, ada, live):
    bearer = {"Authorization": f"Bearer {ada.tokens.access}"}
    answer = grace.logout(csrf="", headers=bearer)
    assert answer.status_code == 204
    assert set_by(answer) == {}
    assert live() == 1
    assert grace.user().status_code == 200


def test_a_logout_that_fails_can_be_repeated(grace, app, live):
    """A browser whose cookies went with the fault would take the session for ended."""

    def rename(old, new):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(db.text(f"ALTER TABLE {old} RENAME TO {new}"))

    rename("audit_events", "away")
    try:
        assert refused(grace.logout(), "migrations_pending", 503)
    finally:
        rename("away", "audit_events")
    assert live() == 1
    assert_gone(grace.logout())
    assert live() == 0
