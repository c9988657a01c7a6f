"""CSRF tokens, and the origin of requests by cookie."""

from datetime import timedelta

import pytest
import time_machine

from pycoder import db
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from tests.support.constants import PASSWORD
from tests.support.cookies import ACCESS, EVIL, UNSAFE, Browser, refused
from tests.support.parameters import on_sqlite


@pytest.fixture
def wrong(app, grace):
    """CSRF tokens that are not that of Grace's session."""
    before = grace.csrf
    other = Browser(app, grace.email)
    stranger = Browser(app)
    other.sign_in()
    stranger.register()
    grace.sign_in()
    return {
        "missing": [],
        "empty": [""],
        "wrong": ["A" * 43],
        "other session's": [other.csrf],
        "other user's": [stranger.csrf],
        "previous session's": [before],
        "twice": [grace.csrf, grace.csrf],
        "two": [grace.csrf, "A" * 43],
        "10 KB": ["A" * 10_240],
        "é": ["é"],
        "ÿ": ["ÿ"],
        "cut": [grace.csrf[:-1]],
        "access token": [grace.token(ACCESS)],
    }


@pytest.mark.parametrize("name", UNSAFE)
def test_every_unsafe_call_by_cookie_needs_the_csrf_token_of_its_session(name, grace, wrong, trail):
    method, path, good = UNSAFE[name]
    before = trail()
    for reason, values in wrong.items():
        headers = [("X-CSRF-TOKEN", value) for value in values]
        answer = grace.client.open(path, method=method, headers=headers)
        assert refused(answer), reason
    assert trail() == [*before, Event.CSRF_REFUSED]  # however often somebody's browser is used
    assert grace.user().status_code == 200
    assert grace.call(method, path).status_code == good


def test_every_call_that_takes_the_cookie_is_among_them(app, grace):
    """Of the other calls with a token, one by one: without it 403, whatever else is wrong."""
    for rule in app.url_map.iter_rules():
        for method in rule.methods & {"POST", "PUT", "PATCH", "DELETE"}:
            path = rule.rule.replace("<uuid:session_id>", "00000000-0000-4000-8000-000000000000")
            answer = grace.call(method, path, csrf="wrong", json={})
            takes_cookie = answer.status_code == 403
            asked = Browser(app).call(method, path, json={}).headers.get("WWW-Authenticate", "")
            assert takes_cookie == (asked == "Bearer" or path == "/api/token/refresh/"), path


def test_reading_and_bearers_need_none(grace, ada):
    assert grace.user().status_code == 200
    assert grace.client.head("/api/user/").status_code == 200
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    assert ada.refresh().status_code == 200
    assert ada.logout(ada.tokens.access).status_code == 204


def test_what_is_refused_is_on_record_for_its_owner_once_an_hour(app, grace, trail, rows):
    for hours in range(2):
        with time_machine.travel(now() + timedelta(hours=hours)):
            assert refused(grace.logout(headers={"Origin": EVIL}))
            assert refused(grace.logout(csrf="wrong"))
    events = rows(db.select(AuditEvent).where(AuditEvent.event == Event.CSRF_REFUSED))
    [sid] = rows(db.select(Session.id))
    assert [event.session_id for event in events] == [sid] * 2
    assert grace.client.get("/api/user/activity/").json[0]["event"] == Event.CSRF_REFUSED


def test_what_names_no_session_that_lives_leaves_no_trail(app, grace, trail):
    kept = grace.token(ACCESS)
    grace.logout()
    grace.put(ACCESS, kept)
    before = trail()
    assert refused(grace.logout(csrf="wrong"))
    body = {"email": grace.email, "password": PASSWORD, "transport": "cookie"}
    assert refused(grace.call("POST", "/api/login/", headers={"Origin": EVIL}, json=body))
    assert trail() == before


# No simple content types


@on_sqlite
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
@pytest.mark.parametrize("path", ["/api/token/refresh/", "/api/logout/", "/api/password/change/"])
def test_a_body_that_a_form_could_send_is_refused(path, kind, grace, live):
    answer = grace.call("POST", path, data=b"a=b", content_type=kind)
    assert refused(answer, "unsupported_media_type", 415)
    assert grace.client.get("/api/logout/").status_code == 405
    assert live() == 1


# The origin of a call

FOREIGN = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "evil": {"Origin": EVIL},
    "null": {"Origin": "null"},
    "both": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    "other port": {"Origin": "http://localhost:1"},
    "looks like it": {"Origin": "http://localhost.evil.example"},
    "é": {"Origin": "http://é"},
}
PUBLIC = {
    "https://auth.example.org": "https://auth.example.org",
    "https://auth.example.org:443": "https://auth.example.org",
    "https://AUTH.example.org": "https://auth.example.org",
    "http://auth.example.org:80": "http://auth.example.org",
    "http://auth.example.org:8000": "http://auth.example.org:8000",
    "http://[::1]:8000": "http://[::1]:8000",
}
NOT_PUBLIC = [
    "null",
    "https://auth.example.org:8443",
    "https://auth.example.org.",
    "https://auth.example.org.evil.example",
    "https://evil.example/auth.example.org",
    "https://auth.example.org@evil.example",
    "https://x.auth.example.org",
    "https://auth.example.org:443/",
    "http://auth.example.org",
]
OUR_OWN = {
    "no browser": {},
    "same-origin": {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    "old browser": {"Origin": "http://localhost"},
    "typed in": {"Sec-Fetch-Site": "none"},
}


@on_sqlite
@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_foreign_page_sends_is_refused_with_the_right_token_too(name, grace, live):
    for method, path, _ in UNSAFE.values():
        assert refused(grace.call(method, path, headers=FOREIGN[name])), path
    for how in ("login", "register"):
        body = {"email": "x@example.com", "password": PASSWORD, "transport": "cookie"}
        path = f"/api/{how}/"
        assert refused(grace.client.post(path, json=body, headers=FOREIGN[name])), path
    assert live() == 1


@on_sqlite
@pytest.mark.parametrize("name", OUR_OWN)
def test_what_our_own_page_sends_is_taken(name, grace):
    assert grace.refresh(json={}).status_code == 200
    assert grace.call("DELETE", "/api/sessions/", headers=OUR_OWN[name]).status_code == 204


@on_sqlite
@pytest.mark.parametrize("url", PUBLIC)
def test_the_origin_of_the_public_url_is_ours_whatever_the_host_is(url, grace, setting):
    setting("PUBLIC_URL", url)
    for origin in (PUBLIC[url], PUBLIC[url].upper()):
        answer = grace.call("DELETE", "/api/sessions/", headers={"Origin": origin})
        assert answer.status_code == 204


@on_sqlite
@pytest.mark.parametrize("origin", NOT_PUBLIC)
def test_what_resembles_the_public_url_is_foreign(origin, grace, setting):
    setting("PUBLIC_URL", "https://auth.example.org")
    answer = grace.call("DELETE", "/api/sessions/", headers={"Origin": origin})
    assert refused(answer)
    assert "CORS_ORIGINS" in answer.json["detail"]


@on_sqlite
@pytest.mark.parametrize("host", ["localhost", "localhost:443", "LOCALHOST"])
def test_a_host_may_name_the_default_port(host, grace, setting):
    setting("COOKIE_SECURE", True)
    for origin in ("https://localhost", "https://localhost:443"):
        headers = {"Origin": origin, "Host": host}
        assert grace.call("DELETE", "/api/sessions/", headers=headers).status_code == 204
    for origin in ("http://localhost", "https://localhost:444", "https://localhost."):
        headers = {"Origin": origin, "Host": host}
        assert refused(grace.call("DELETE", "/api/sessions/", headers=headers)), origin


def test_a_refusal_says_what_helps(grace):
    by_token = grace.call("DELETE", "/api/sessions/", csrf="wrong").json["detail"]
    by_origin = grace.call("DELETE", "/api/sessions/", headers={"Origin": EVIL}).json["detail"]
    assert "reload the page" in by_token
    assert "reload" not in by_origin
    assert "CORS_ORIGINS" in by_origin


def test_a_listed_origin_is_as_good_as_our_own(grace, setting):
    setting("CORS_ORIGINS", ["https://app.example.com"])
    listed = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}
    assert grace.call("DELETE", "/api/sessions/", headers=listed).status_code == 204
    assert refused(grace.call("DELETE", "/api/sessions/", csrf="wrong", headers=listed))
    lookalike = {"Origin": "https://appxexample.com"}
    assert refused(grace.call("DELETE", "/api/sessions/", headers=lookalike))
