"""The keys that imported accounts had elsewhere."""

import json

import pytest
from sqlalchemy import select

from pycoder.models.user import User
from pycoder.tokens import introspection
from tests.support.callers import Caller
from tests.support.imports import line, report
from tests.support.parameters import on_sqlite
from tests.support.password_hashes import KNOWN
from tests.support.tokens import claims_of

pytestmark = on_sqlite

UUID = "6f1c2d0e-8a54-4c1b-9a41-2b8a3f1e9d77"


@pytest.fixture
def imported(import_lines, app):
    """A caller whose account came with a key of text, signed in."""
    assert import_lines(line(UUID, email="ada@example.com", username="ada"))[0] == {"added": 1}
    caller = Caller(app.test_client(), password=KNOWN)
    caller.login()
    return caller


def test_a_key_of_text_is_kept_beside_an_id_and_recognized(import_lines, rows):
    first = line(UUID, email="ada@example.com", username="ada")
    dump = {"model": "people.person", "pk": "auth0|42", "fields": json.loads(line(1))}
    del dump["fields"]["id"]
    assert import_lines(first, json.dumps(dump), line("17"))[0] == {"added": 3}
    moved = line(UUID, email="new@example.com", username="other")
    assert import_lines(moved, json.dumps(dump), line("17"))[0] == {"existing": 3}
    users = {user.external_id: user.id for user in rows(select(User))}
    assert users.keys() == {UUID, "auth0|42", None}
    assert users[None] == 17


def test_the_key_is_shown_wherever_the_account_is(imported, flask):
    assert imported.user().json["external_id"] == UUID
    assert imported.get("/api/user/export/").json["user"]["external_id"] == UUID
    assert json.loads(flask("users", "show", "ada", "--json").output)["external_id"] == UUID
    assert json.loads(flask("users", "list", "--json").output)["external_id"] == UUID
    exported = flask("users", "export").output
    assert json.loads(exported)["external_id"] == UUID
    assert flask("users", "import", "-", stdin=exported).output == f"{report(existing=1)}\n"


def test_access_tokens_contain_the_key_and_refresh_tokens_do_not(imported, flask):
    refreshed = imported.refresh().json
    changed = imported.call(
        "POST",
        "/api/password/change/",
        refreshed["access"],
        json={"current_password": KNOWN, "new_password": "another long pass phrase"},
    ).json["tokens"]
    for pair in (imported.tokens._asdict(), refreshed, changed):
        assert claims_of(pair["access"])["external_id"] == UUID
        assert "external_id" not in claims_of(pair["refresh"])
    assert imported.user(changed["access"]).status_code == 200
    assert imported.verify(changed["access"]).status_code == 200


def test_services_learn_the_key_by_introspection(app, imported, ada_without_key):
    with app.app_context():
        secret = introspection.create_client("shop")

    def introspect(caller):
        body = {"token": caller.tokens.access}
        return caller.client.post("/api/token/introspect/", data=body, auth=("shop", secret)).json

    assert introspect(imported)["external_id"] == UUID
    assert introspect(ada_without_key)["active"] is True
    assert "external_id" not in introspect(ada_without_key)


@pytest.fixture
def ada_without_key(app):
    caller = Caller(app.test_client(), "grace@example.com")
    assert caller.register().json["user"]["external_id"] is None
    assert "external_id" not in claims_of(caller.tokens.access)
    return caller


def test_nobody_changes_their_key(imported):
    for method, path in (("PATCH", "/api/user/"), ("POST", "/api/register/")):
        answer = imported.call(method, path, json={"external_id": "mine"})
        assert answer.json["error_codes"]["external_id"] == [{"code": "unknown_field"}]
    assert imported.user().json["external_id"] == UUID


@pytest.mark.parametrize("key", [UUID, 17])
def test_a_deleted_account_is_not_revived_by_its_key(import_lines, flask, rows, key):
    mine, other = line(key), line("other", email="other@example.com", username="other")
    import_lines(mine, other)
    flask("users", "delete", json.loads(mine)["email"], "--yes")
    again = line(key, email="ada@example.com", username="ada")
    field = "id" if key == 17 else "external_id"
    reason = f"{field}: This account was deleted here."
    assert import_lines(mine, again, other)[1] == {1: reason, 2: reason}
    assert rows(select(User.external_id)) == ["other"]
