"""The change of a password."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pycoder.audit import Event
from pycoder.tokens import introspection
from tests.support.callers import Caller, Tokens
from tests.support.constants import PASSWORD
from tests.support.cookies import ACCESS, Browser
from tests.support.password_calls import NEW, WRONG, ask, change, confirm, prove
from tests.support.requests import problem
from tests.support.tokens import claims_of

# --- change


def test_a_change_ends_all_sessions_and_gives_the_pair_of_a_new_one(ada, trail):
    other, this = ada.tokens, ada.login()
    answer = change(ada)
    assert answer.status_code == 200
    assert list(answer.json) == ["tokens"]
    pair = Tokens(**answer.json["tokens"])
    old, new = claims_of(this.access), claims_of(pair.access)
    assert new["sid"] != old["sid"]
    assert new["status"] != old["status"]
    assert ada.user(pair.access).status_code == 200
    assert [one["id"] for one in ada.get("/api/sessions/", pair.access).json] == [new["sid"]]
    for before in (other, this):
        assert problem(ada.user(before.access)) == (401, "token_revoked")
        assert problem(ada.refresh(before.refresh)) == (401, "token_revoked")
    assert ada.refresh(pair.refresh).status_code == 200
    assert trail()[-1] == Event.PASSWORD_CHANGED
    assert problem(ada.try_login()) == (400, "invalid_credentials")
    assert ada.try_login(password=NEW).status_code == 200


@pytest.mark.parametrize("by", ["password", "proof"])
def test_the_new_session_dates_from_the_password_or_the_proof(by, ada, clock):
    clock.shift(60)
    fields = (
        {"current_password": ada.password}
        if by == "password"
        else {"proof": prove(ada).json["proof"]}
    )
    clock.shift(240)
    answer = ada.call("POST", "/api/password/change/", json={**fields, "new_password": NEW})
    claims = claims_of(answer.json["tokens"]["access"])
    assert claims["iat"] - claims["auth_time"] == (0 if by == "password" else 240)


REVOKED = (401, "token_revoked")
KEY = "0123456789abcdef"


def test_no_token_from_before_a_change_is_good_for_anything(ada, app, rows):
    first = ada.tokens.refresh
    old = Tokens(**ada.refresh(first, key=KEY).json)
    pair = Tokens(**change(ada, token=old.access).json["tokens"])
    for method, path in (
        ("GET", "/api/user/"),
        ("PATCH", "/api/user/"),
        ("DELETE", "/api/user/"),
        ("GET", "/api/user/export/"),
        ("GET", "/api/user/activity/"),
        ("GET", "/api/sessions/"),
        ("DELETE", "/api/sessions/"),
        ("POST", "/api/email/verify/resend/"),
    ):
        assert problem(ada.call(method, path, old.access)) == REVOKED, path
    assert problem(prove(ada, NEW, old.access)) == REVOKED
    assert problem(ada.verify(old.access)) == problem(ada.verify(old.refresh)) == REVOKED
    assert problem(ada.refresh(first, key=KEY)) == REVOKED
    assert problem(ada.refresh(old.refresh, key=KEY)) == REVOKED
    with app.app_context():
        assert introspection.introspect_token(old.access) == {"active": False}
    assert ada.logout(access=old.access).status_code == 204
    assert ada.user(pair.access).status_code == 200
    assert ada.refresh(pair.refresh).status_code == 200


def test_a_browser_goes_on_with_the_cookies_of_the_new_session(app):
    grace = Browser(app, "grace@example.com")
    grace.register()
    old, csrf = grace.token(ACCESS), grace.csrf
    body = {"current_password": PASSWORD, "new_password": NEW}
    answer = grace.call("POST", "/api/password/change/", json=body)
    assert answer.json.keys() == {"expires_in", "csrf_token"}
    assert answer.json["csrf_token"] != csrf
    assert grace.refresh(csrf=csrf).status_code == 403
    assert grace.refresh(csrf=answer.json["csrf_token"]).status_code == 200
    grace.put(ACCESS, old)
    assert problem(grace.user()) == REVOKED


def test_a_change_needs_the_current_password(ada):
    assert problem(change(ada, current=WRONG)) == (400, "invalid_credentials")
    body = {"new_password": NEW}
    answer = ada.call("POST", "/api/password/change/", json=body)
    assert problem(answer) == (401, "insufficient_user_authentication")
    assert ada.try_login().status_code == 200


BAD = {
    "short": "seven77",
    "long": "x" * 129,
    "the e-mail address": "ada@example.com",
    "its local part twice": "adaada",
    "the username": "lovelace-the-first",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_new_password_is_judged_alike_everywhere_and_never_repeated(kind, ada, mails):
    ada.call("PATCH", "/api/user/", json={"username": "lovelace-the-first"})
    ask(ada)
    token = mails()[0].token
    for answer in (change(ada, new=BAD[kind]), confirm(ada, token, BAD[kind])):
        assert problem(answer) == (400, "validation_error")
        assert list(answer.json["errors"]) == ["new_password"]
        assert BAD[kind] not in answer.text
    assert confirm(ada, token).status_code == 204  # a refused password does not use the link up


def test_length_counts_characters_and_the_last_one_matters(ada):
    long = "😀" * 64
    assert change(ada, new=long).status_code == 200
    assert ada.try_login(password=long[:-1] + "😁").status_code == 400
    assert ada.try_login(password=long).status_code == 200


def test_of_two_changes_at_once_one_succeeds(ada, app):
    def attempt(n):
        return change(Caller(app.test_client()), new=f"{NEW} {n}", token=ada.tokens.access)

    with ThreadPoolExecutor(4) as pool:
        answers = [(a.status_code, a.json.get("code")) for a in pool.map(attempt, range(4))]
    assert [status for status, _ in answers].count(200) == 1
    others = {(400, "invalid_credentials"), (401, "token_revoked"), (503, "service_unavailable")}
    assert {answer for answer in answers if answer[0] != 200} <= others
    assert [a for a in range(4) if ada.try_login(password=f"{NEW} {a}").status_code == 200]


def test_wrong_passwords_count_for_this_session_and_for_no_other(ada, app, trail):
    other = Caller(app.test_client())
    other.login()
    assert [change(ada, current=WRONG).status_code for _ in range(11)] == [400] * 10 + [429]
    assert change(ada).status_code == 429
    assert trail().count(Event.PROOF_REFUSED) == 10
    assert trail()[-1] == Event.LIMIT_REACHED
    assert change(other).status_code == 200
