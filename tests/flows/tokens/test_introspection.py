"""Token introspection by clients (RFC 7662)."""

import base64
import hashlib

import pytest
from sqlalchemy import select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.oauth_client import OAuthClient
from pycoder.models.session import Session
from pycoder.tokens import introspection
from tests.support.constants import PASSWORD
from tests.support.forgeries import forge
from tests.support.tokens import read

pytestmark = pytest.mark.usefixtures("signed_by_hand")


PATH = "/api/token/introspect/"


@pytest.fixture
def secret(app):
    with app.app_context():
        return introspection.create_client("shop")


def basic(name, secret):
    text = f"{name}:{secret}".encode()
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.fixture
def ask(client, secret):
    """Return a function that asks about a token as the service ``shop``."""

    def ask(token, **kwargs):
        headers = {"Authorization": basic("shop", secret)}
        return client.post(PATH, headers=headers, **(kwargs or {"json": {"token": token}}))

    return ask


def test_a_good_access_token_is_active_and_says_whose_it_is(ada, ask):
    claims = read(ada.tokens.access)[1]
    answer = ask(ada.tokens.access)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        "active": True,
        "token_type": "Bearer",
        "username": "ada",
        **{name: claims[name] for name in claims.keys() - {"token_type", "user_id"}},
    }
    assert answer.json.keys() >= {"client_id", "auth_time", "amr", "acr", "iss", "aud"}


def test_an_access_token_out_of_a_cookie_is_inactive_and_on_record(app, ask, trail):
    browser = app.test_client()
    body = {"email": "eve@example.com", "password": PASSWORD, "transport": "cookie"}
    assert browser.post("/api/register/", json=body).status_code == 201
    assert browser.get("/api/user/").status_code == 200
    stolen = browser.get_cookie(app.config["JWT_ACCESS_COOKIE_NAME"]).value
    answers = [ask(stolen) for _ in range(2)]
    assert [(answer.status_code, answer.json) for answer in answers] == [
        (200, {"active": False})
    ] * 2
    assert trail().count(Event.TOKEN_MISPLACED) == 1
    assert browser.get("/api/user/").status_code == 200


def test_a_form_is_taken_with_whatever_else_a_library_sends(ada, ask):
    form = {"token": ada.tokens.access, "token_type_hint": "access_token", "resource": "shop"}
    assert ask("", data=form).json["active"] is True
    assert ask("", json=form).json["active"] is True


def test_every_token_that_is_not_good_is_answered_alike(app, ada, bob, ask):
    revoked, ended = ada.tokens.access, ada.login().access
    assert ada.revoke(revoked).status_code == 200
    assert ada.logout(ended).status_code == 204
    claims = read(bob.tokens.access)[1]
    with app.app_context():
        administration.set_active(administration.find_user("bob"), False)
    good = ada.login()
    bad = {
        "revoked": revoked,
        "of a session that is over": ended,
        "of a deactivated user": bob.tokens.access,
        "expired": forge(good.access, iat=claims["iat"] - 9000, exp=claims["exp"] - 9000),
        "a refresh token": good.refresh,
        "garbage": "x",
        "another signature": good.access[:-5] + "AAAAA",
        "another audience": forge(good.access, aud="another"),
        "longer": good.access + "=",
    }
    answers = {(answer.status_code, answer.text) for answer in map(ask, bad.values())}
    assert answers == {(200, '{"active":false}\n')}
    assert all(ask(token).json["active"] for token in (good.access, forge(good.access)))


def test_asking_is_no_use_and_leaves_nothing(ada, ask, rows, trail):
    before = (trail(), rows(select(Session.last_used_at)), rows(select(Session.refresh_jti)))
    for token in (*ada.tokens, "x"):
        ask(token)
    assert (
        trail(),
        rows(select(Session.last_used_at)),
        rows(select(Session.refresh_jti)),
    ) == before
    assert ada.refresh().status_code == 200


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 5}, {"token": "x" * 4097}])
def test_a_body_without_a_token_is_bad_input(ask, body):
    answer = ask("", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "validation_error")
    assert list(answer.json["errors"]) == ["token"]


REFUSED = {
    "no credentials": [None, "Bearer x", "Basic", "Basic x", "Basic /w==", "basic :"],
    "unknown service": [
        *(
            basic(name, "x" * 43)
            for name in ("bank", "\0", "Shop", "shop ", "sh\0p", "x" * 9999, "é")
        ),
        basic("bank", ""),
    ],
    "wrong secret": [*(basic("shop", wrong) for wrong in ("", "x" * 43, "shop", "é"))],
}


@pytest.mark.parametrize(
    ("reason", "header"), [(reason, one) for reason, all_ in REFUSED.items() for one in all_]
)
def test_who_is_no_service_is_refused_and_on_record(ada, secret, rows, reason, header):
    headers = {"Authorization": header} if header else {}
    answer = ada.client.post(PATH, json={"token": ada.tokens.access}, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="pycoder", charset="UTF-8"'
    refused = select(AuditEvent.reason).where(AuditEvent.event == Event.SERVICE_REFUSED)
    assert rows(refused) == [reason]


def test_two_credentials_are_refused_even_if_one_is_good(ada, secret):
    good = basic("shop", secret)
    for headers in (
        [("Authorization", good), ("Authorization", "Basic eDp4")],
        [("Authorization", f"{good},")],
    ):
        answer = ada.client.post(PATH, json={"token": ada.tokens.access}, headers=headers)
        assert answer.json["code"] == "invalid_client"


def test_credentials_are_asked_for_before_the_body_is_read(client):
    answer = client.post(PATH, data="{", content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_client")


def test_an_access_token_opens_no_service_s_door(ada):
    answer = ada.call("POST", PATH, json={"token": ada.tokens.access})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_client")


def test_refusals_are_limited_and_a_good_service_is_not(ada, ask, secret, trail):
    token = {"token": ada.tokens.access}
    wrong = {"Authorization": basic("shop", "x" * 43)}
    answers = [ada.client.post(PATH, json=token, headers=wrong) for _ in range(103)]
    assert [answer.status_code for answer in answers] == [401] * 100 + [429] * 3
    assert int(answers[-1].headers["Retry-After"]) <= 300
    assert trail().count(Event.SERVICE_REFUSED) == 100
    assert trail().count(Event.LIMIT_REACHED) == 1
    assert ask(ada.tokens.access).json["active"] is True


def test_a_secret_is_stored_as_its_sha_256_alone(secret, rows):
    assert len(secret) == 43
    (service,) = rows(select(OAuthClient))
    assert service.digest == hashlib.sha256(secret.encode()).hexdigest()


def test_a_deleted_service_is_refused_at_once(app, ada, ask):
    assert ask(ada.tokens.access).status_code == 200
    with app.app_context():
        introspection.delete_client("shop")
    assert ask(ada.tokens.access).json["code"] == "invalid_client"
