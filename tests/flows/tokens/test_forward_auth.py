"""Authentication for applications behind a reverse proxy."""

from urllib.parse import unquote

import pytest
from sqlalchemy import event

from pycoder.extensions import db
from tests.support.callers import Caller
from tests.support.constants import PASSWORD
from tests.support.cookies import Browser

PATH = "/api/forward-auth/"
NAMES = ("X-Auth-User", "X-Auth-Username", "X-Auth-Roles")
NOT_A_ROLE = ["", "Editor", "a b", "editor%0A", "%C3%A4", "a" * 41, "editor&role=admin"]


def identity(answer):
    return tuple(answer.headers.get(name) for name in NAMES)


@pytest.fixture
def editor(ada, flask):
    """Ada, in a session with two roles."""
    for role in ("editor", "billing.read"):
        assert flask("users", "grant", "ada", role).exit_code == 0
    ada.login()
    return ada


@pytest.mark.parametrize("query", ["", "?role=editor", "?role=editor&role=editor"])
def test_a_proxy_learns_who_a_request_is_from(query, editor):
    answer = editor.get(f"{PATH}{query}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert identity(answer) == (str(editor.user().json["id"]), "ada", "billing.read editor")
    assert answer.headers["Cache-Control"] == "no-store"


def test_every_header_is_sent_even_without_a_role(ada):
    """A proxy that copies only what is there would leave what a client has sent."""
    assert identity(ada.get(PATH))[1:] == ("ada", "")


@pytest.mark.parametrize("role", ["admin", "editor.more", "edito", "a" * 40])
def test_a_user_without_the_role_is_refused(role, editor):
    answer = editor.get(f"{PATH}?role={role}")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert identity(answer) == (None, None, None)


@pytest.mark.parametrize("role", NOT_A_ROLE)
def test_what_is_no_role_lets_nobody_in(role, editor):
    answer = editor.get(f"{PATH}?role={role}")
    assert (answer.status_code, answer.json["code"]) == (400, "validation_error")
    assert answer.json["error_codes"] == {"role": [{"code": "invalid_role"}]}


@pytest.mark.parametrize("query", ["roles=editor", "Role=editor", "role=editor&x=1"])
def test_a_misspelt_parameter_lets_nobody_in(query, editor):
    answer = editor.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "validation_error")
    assert [{"code": "unknown_field"}] in answer.json["error_codes"].values()


def test_a_role_taken_away_is_refused_at_once(editor, flask):
    assert flask("users", "revoke", "ada", "editor").exit_code == 0
    answer = editor.get(f"{PATH}?role=editor")
    assert (answer.status_code, answer.json["code"]) == (401, "token_expired")
    renewed = editor.refresh().json["access"]
    assert editor.get(f"{PATH}?role=editor", renewed).status_code == 403
    assert identity(editor.get(PATH, renewed))[2] == "billing.read"


def test_a_session_in_cookies_needs_no_csrf_token(app):
    grace = Browser(app, "grace@example.com")
    grace.register()
    assert identity(grace.call("GET", PATH, csrf=""))[1] == "grace"
    assert grace.logout().status_code == 204
    assert grace.call("GET", PATH).status_code == 401


def test_a_token_out_of_a_cookie_is_refused_as_bearer(app):
    grace = Browser(app, "grace@example.com")
    grace.register()
    headers = {"Authorization": f"Bearer {grace.token('pycoder_access')}"}
    assert app.test_client().get(PATH, headers=headers).json["code"] == "token_invalid"


@pytest.mark.parametrize(
    ("sent", "challenge"),
    [({}, "Bearer"), ({"Authorization": "Bearer x"}, 'Bearer error="invalid_token"')],
)
def test_a_request_without_a_valid_token_is_refused(sent, challenge, client):
    answer = client.get(PATH, headers=sent)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, challenge)
    assert identity(answer) == (None, None, None)


HOSTILE = [
    ("eve%0d%0aX-Auth-Roles: admin@example.com", None),  # no address, so no account
    ("%c3%a4da@example.com", "%25c3%25a4da@example.com"),
    ("a,b=c&admin@example.com", None),
    ("a'b|c{d}`e^f@example.com", "a%27b%7Cc%7Bd%7D%60e%5Ef@example.com"),
    ("grace+x@example.com", "grace+x@example.com"),
]


@pytest.mark.parametrize(("email", "sent"), HOSTILE)
def test_an_address_as_a_username_is_one_word(email, sent, app):
    caller = Caller(app.test_client(), email, PASSWORD)
    registered = caller.register(username=email)
    assert registered.status_code == (201 if sent else 400), registered.json
    if sent:
        said = identity(caller.get(PATH))[1]
        assert (said, unquote(said)) == (sent, email)


@pytest.mark.parametrize("username", ["łukasz", "مريم", "さくら", "straße"])
def test_a_username_of_any_script_is_ascii_and_reads_back(username, ada):
    changed = ada.call("PATCH", "/api/user/", json={"username": username})
    assert changed.status_code == 200, changed.json
    said = identity(ada.get(PATH))[1]
    assert said.isascii()
    assert unquote(said, errors="strict") == changed.json["username"]


def test_it_costs_what_the_user_costs(editor, app):
    """One SELECT: each of these calls takes one connection, once."""
    assert editor.get("/api/user/").status_code == 200  # looks for new keys, if that is due
    taken = []

    def note(*_):
        taken.append(1)

    with app.app_context():
        pools = {engine.pool for engine in db.engines.values()}
    for pool in pools:
        event.listen(pool, "checkout", note)
    costs = []
    for path in ("/api/user/", PATH, f"{PATH}?role=editor", f"{PATH}?role=admin"):
        taken.clear()
        assert editor.get(path).status_code in (200, 204, 403)
        costs.append(len(taken))
    for pool in pools:
        event.remove(pool, "checkout", note)
    assert costs == [1, 1, 1, 1]
