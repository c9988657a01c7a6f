"""The change of a password."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pycoder.audit import Event
from tests.support.callers import Caller, Tokens
from tests.support.password_calls import NEW, WRONG, ask, change, confirm
from tests.support.requests import problem

# --- change


def test_a_change_ends_the_other_sessions_and_gives_this_one_a_new_pair(ada, trail):
    other, this = ada.tokens, ada.login()
    answer = change(ada)
    assert answer.status_code == 200
    assert list(answer.json) == ["tokens"]
    pair = Tokens(**answer.json["tokens"])
    assert ada.user(pair.access).status_code == ada.user(this.access).status_code == 200
    assert problem(ada.user(other.access)) == (401, "token_revoked")
    assert problem(ada.refresh(other.refresh)) == (401, "token_revoked")
    assert ada.refresh(pair.refresh).status_code == 200
    assert trail()[-1] == Event.PASSWORD_CHANGED
    assert problem(ada.try_login()) == (400, "invalid_credentials")
    assert ada.try_login(password=NEW).status_code == 200


def test_the_refresh_token_from_before_a_change_is_a_used_one(ada):
    old, pair = ada.tokens, Tokens(**change(ada).json["tokens"])
    assert problem(ada.refresh(old.refresh)) == (401, "token_reused")
    assert problem(ada.user(pair.access)) == (401, "token_revoked")


def test_a_change_needs_the_current_password(ada):
    assert problem(change(ada, current=WRONG)) == (400, "invalid_credentials")
    body = {"new_password": NEW}
    answer = ada.call("POST", "/api/password/change/", json=body)
    assert list(answer.json["errors"]) == ["current_password"]
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
        answers = [a.status_code for a in pool.map(attempt, range(4))]
    assert answers.count(200) == 1
    assert set(answers) <= {200, 400, 503}
    assert [a for a in range(4) if ada.try_login(password=f"{NEW} {a}").status_code == 200]


def test_wrong_passwords_count_for_this_session_and_for_no_other(ada, app, trail):
    other = Caller(app.test_client())
    other.login()
    assert [change(ada, current=WRONG).status_code for _ in range(11)] == [400] * 10 + [429]
    assert change(ada).status_code == 429
    assert trail().count(Event.PROOF_REFUSED) == 10
    assert trail()[-1] == Event.LIMIT_REACHED
    assert change(other).status_code == 200
