"""The guard of the admin API, before every route of the blueprint."""

import re

import pytest
from sqlalchemy import select

from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OutgoingMail
from pycoder.models.user import User
from tests.support.callers import Caller
from tests.support.cookies import Browser
from tests.support.second_factors import enrol, prove

CALLS = [
    ("GET", "/api/admin/events/"),
    ("GET", "/api/admin/users/"),
    ("POST", "/api/admin/users/"),
    ("GET", "/api/admin/users/{}/"),
    ("PATCH", "/api/admin/users/{}/"),
    ("DELETE", "/api/admin/users/{}/factors/"),
    ("POST", "/api/admin/users/{}/password-reset/"),
    ("DELETE", "/api/admin/users/{}/sessions/"),
]
each_call = pytest.mark.parametrize(("method", "path"), CALLS)
BODIES = {
    "POST /api/admin/users/": {"email": "eve@example.com"},
    "PATCH /api/admin/users/{}/": {"is_active": False, "roles": ["admin"]},
}


def outcome(answer):
    code = (answer.json or {}).get("code")
    return answer.status_code, code, answer.headers.get("WWW-Authenticate")


FORBIDDEN = (403, "forbidden", 'Bearer error="insufficient_scope"')
NEEDS_FACTOR = (
    401,
    "insufficient_user_authentication",
    'Bearer error="insufficient_user_authentication", acr_values="aal2"',
)
EXPIRED = (401, "token_expired", 'Bearer error="invalid_token"')
REVOKED = (401, "token_revoked", 'Bearer error="invalid_token"')
MISSING = (401, "token_missing", "Bearer")


@pytest.fixture
def send(bob):
    """Return a function that makes one of the calls on the account of ``bob``, as a caller."""

    def call(caller, method, path, token=None, **kwargs):
        body = BODIES.get(f"{method} {path}", {}) | {"password": getattr(caller, "password", "")}
        json = None if method == "GET" else body
        target = path.format(bob.user().json["id"])
        return caller.call(method, target, *([token] if token else []), json=json, **kwargs)

    return call


@pytest.fixture
def stored(rows):
    """Return a function that reads what a call could have changed."""
    statements = (
        select(User.email),
        select(User.is_active),
        select(User.password_hash),
        select(AuditEvent.event).where(AuditEvent.actor_id != AuditEvent.user_id),
        select(OutgoingMail.template),
    )
    return lambda: [rows(statement) for statement in statements]


def test_the_calls_are_all_routes_of_the_blueprint(app):
    routes = {
        (method, re.sub("<.*?>", "{}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("admin.") or rule.rule.startswith("/api/admin")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == set(CALLS)


@each_call
def test_nobody_but_an_administrator_passes(
    method, path, app, ada, bob, root, flask, send, stored, setting
):
    assert flask("users", "grant", "ada", "admin").exit_code == 0
    former = ada.login().access
    assert send(ada, "GET", "/api/admin/users/", former).status_code == 200
    assert flask("users", "revoke", "ada", "admin").exit_code == 0
    before = stored()
    assert outcome(send(ada, method, path, former)) == EXPIRED
    assert outcome(send(ada, method, path, ada.refresh().json["access"])) == FORBIDDEN
    assert outcome(send(bob, method, path)) == FORBIDDEN
    json = BODIES.get(f"{method} {path}", {}) if method != "GET" else None
    anonymous = app.test_client().open(path.format(1), method=method, json=json)
    assert outcome(anonymous) == MISSING
    setting("SECOND_FACTOR", "admins")
    assert outcome(send(root, method, path)) == NEEDS_FACTOR
    setting("SECOND_FACTOR", "required")
    assert outcome(send(root, method, path)) == NEEDS_FACTOR
    assert stored() == before
    assert flask("users", "deactivate", root.email).exit_code == 0
    assert outcome(send(root, method, path)) == REVOKED


@each_call
def test_an_administrator_passes_and_changes_something_with_a_password_only(
    method, path, app, bob, root, send, stored, flask
):
    enrol(bob, app)
    before = stored()
    if method == "GET":
        assert send(root, method, path).status_code == 200
        assert stored() == before
        return
    json = BODIES.get(f"{method} {path}", {})
    target = path.format(bob.user().json["id"])
    refused = root.call(method, target, json=json)
    assert outcome(refused) == (
        401,
        "insufficient_user_authentication",
        'Bearer error="insufficient_user_authentication"',
    )
    wrong = root.call(method, target, json={**json, "password": "some other pass phrase"})
    assert outcome(wrong)[:2] == (400, "invalid_credentials")
    assert root.call(method, target, json={**json, "proof": "x" * 43}).status_code == 401
    assert stored() == before
    assert send(root, method, path).status_code in (200, 201, 204)
    assert stored() != before


@each_call
def test_cookies_need_the_csrf_token_to_change_something(
    method, path, app, bob, root, send, stored
):
    browser = Browser(app, root.email)
    assert browser.sign_in(password=root.password).status_code == 200
    before = stored()
    target = path.format(bob.user().json["id"])
    json = BODIES.get(f"{method} {path}", {}) | {"password": root.password}
    answer = browser.client.open(target, method=method, json=None if method == "GET" else json)
    if method == "GET":
        assert answer.status_code == 200
    else:
        assert outcome(answer)[:2] == (403, "csrf_failed")
    assert stored() == before


def test_a_second_factor_opens_the_session_at_once(app, root, clock, setting, bob):
    authenticator, _ = enrol(root, app)
    root.tokens = root.tokens._replace(access=root.refresh().json["access"])
    setting("SECOND_FACTOR", "admins")
    assert root.get("/api/admin/users/").status_code == 200
    clock.shift(30)
    proof = prove(root, code=authenticator.code())
    target = f"/api/admin/users/{bob.user().json['id']}/"
    only_password = {"password": root.password, "is_active": False}
    assert outcome(root.call("PATCH", target, json=only_password)) == NEEDS_FACTOR
    changed = root.call("PATCH", target, json={"proof": proof, "is_active": False})
    assert changed.json["is_active"] is False


def test_the_proof_of_another_session_is_none(app, root, bob):
    other = Caller(app.test_client(), root.email, root.password)
    other.login()
    body = {"proof": prove(other), "roles": ["editor"]}
    target = f"/api/admin/users/{bob.user().json['id']}/"
    assert root.call("PATCH", target, json=body).status_code == 401
    assert other.call("PATCH", target, json=body).json["roles"] == ["editor"]


def test_preflights_need_no_token(app, app_with):
    origin = "https://app.example.com"
    client = app_with(CORS_ORIGINS=origin).test_client()
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    headers["Access-Control-Request-Headers"] = "authorization"
    answer = client.options("/api/admin/users/", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.data == b""
    assert client.get("/api/admin/users/").status_code == 401


def test_the_actor_is_forgotten_with_the_request(root, ada, act, id_of, rows):
    assert act("PATCH", f"users/{id_of(ada.email)}/", is_active=True).status_code == 200
    ada.login()
    newest = select(AuditEvent.actor_id).order_by(AuditEvent.id.desc()).limit(1)
    assert rows(newest) == [None]
