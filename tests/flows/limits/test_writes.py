"""What one account can have written (``account.writes``), and what one address can register."""

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from pycoder.models.session import TokenBlocklist
from pycoder.models.user import User
from tests.support.login_attempts import MINUTE, visitor, wait_of
from tests.support.parameters import on_sqlite

KEY = "0123456789abcdef"
TWICE = {"RATE_LIMITS": "account.writes=2/hour"}


@pytest.fixture
def grace(app_with):
    """A user with an account at an application that allows two writes of a kind."""
    caller = visitor(app_with(**TWICE), "grace@example.com")
    assert caller.register().status_code == 201
    return caller


def change_profile(caller, n):
    return caller.call("PATCH", "/api/user/", json={"first_name": f"Grace {n}"})


def revoke_access_token(caller, n):
    return caller.revoke(visitor(caller.client.application, caller.email).login().access)


def end_session(caller, n):
    path = "/api/sessions/00000000-0000-4000-8000-000000000000/"
    return caller.call("DELETE", path)


def end_other_sessions(caller, n):
    return caller.call("DELETE", "/api/sessions/")


def export_account(caller, n):
    response = caller.get("/api/user/export/")
    assert response.text  # the next export may begin when this one has been read
    return response


WRITES = {
    export_account: 200,
    change_profile: 200,
    revoke_access_token: 200,
    end_session: 404,
    end_other_sessions: 204,
}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_an_account_has_so_many_writes_of_a_kind_in_an_hour(write, grace, clock):
    assert [write(grace, n).status_code for n in range(2)] == [WRITES[write]] * 2
    assert wait_of(write(grace, 2)) == 60 * MINUTE
    others = [other for other in WRITES if other is not write]
    assert [other(grace, 0).status_code for other in others] == [WRITES[each] for each in others]
    bob = visitor(grace.client.application, "bob@example.com")
    assert bob.register().status_code == 201
    assert change_profile(bob, 0).status_code == 200


def test_what_is_refused_is_not_written(grace, rows):
    for n in range(4):
        change_profile(grace, n)
        revoke_access_token(grace, n)
    assert rows(select(User.first_name)) == ["Grace 1"]
    assert rows(select(func.count(TokenBlocklist.jti))) == [2]


def test_a_thief_does_not_use_up_the_revocations_of_the_owner(grace):
    thief = visitor(grace.client.application, grace.email)
    sessions = [thief.login(), grace.login()]
    for n in range(4):
        end_session(thief, n)
        revoke_access_token(thief, n)
    wait_of(end_session(thief, 0))
    [thiefs] = [one["id"] for one in thief.get("/api/sessions/").json if one["current"]]
    assert grace.call("DELETE", f"/api/sessions/{thiefs}/").status_code == 204
    assert thief.user().json["code"] == "token_revoked"
    assert end_other_sessions(grace, 0).status_code == 204
    assert grace.revoke(sessions[1].refresh).status_code == 200
    assert grace.user().json["code"] == "token_revoked"


# Registration


def hashes():
    """Return the number of passwords that this process has hashed."""
    return REGISTRY.get_sample_value("pycoder_hashing_wait_seconds_count") or 0


def refused_for(field, value):
    def register(app, n):
        return visitor(app, f"user{n}@example.com").register(**{field: value})

    return register


def taken(app, n):
    return visitor(app, "ada@example.com").register()


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value"), [("password", "short"), ("email", "ada@nowhere"), ("username", "a b c")]
)
def test_a_form_that_is_refused_uses_up_no_registration(field, value, app_with, clock):
    app = app_with(RATE_LIMITS="register.ip=1/hour;register.form.ip=4/hour")
    register, before = refused_for(field, value), hashes()
    answers = [register(app, n) for n in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 4 + [429]
    assert wait_of(answers[-1]) == 60 * MINUTE
    assert hashes() == before
    assert visitor(app, "new@example.com").register().status_code == 201
    assert visitor(app, "newer@example.com").register().status_code == 429


def test_a_taken_address_counts_as_a_registration_and_costs_no_hash(ada, app_with):
    app, before = app_with(RATE_LIMITS="register.ip=2/hour"), hashes()
    assert [taken(app, n).status_code for n in range(3)] == [400, 400, 429]
    assert hashes() == before
    assert visitor(app, "new@example.com").register().status_code == 429


def test_a_username_that_is_refused_for_its_form_does_not_count_as_a_question(ada, app_with):
    caller = visitor(app_with(RATE_LIMITS="register.ip=1/hour"))
    caller.login()

    def rename(username):
        return caller.call("PATCH", "/api/user/", json={"username": username}).status_code

    assert [rename(name) for name in ("a b", "c d", "lovelace", "byron")] == [400, 400, 200, 429]
