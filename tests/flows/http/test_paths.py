"""Paths, hosts and methods."""

from uuid import uuid4

import pytest

from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from tests.support.parameters import table
from tests.support.requests import API_PATHS, GOOD, ODD_PATHS, is_problem, raw

# What crosses the wire does so before the database is asked, so one kind of it is enough.
pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]


# Addresses and methods


def test_the_paths_are_the_documented_ones(app):
    assert set(API_PATHS) <= {rule.rule for rule in app.url_map.iter_rules()}


@pytest.mark.parametrize("path", API_PATHS)
def test_a_path_works_with_its_slash_and_without_it(path, client):
    method = API_PATHS[path]
    with_slash, without = (client.open(p, method=method) for p in (path, path.rstrip("/")))
    assert with_slash.status_code == without.status_code
    assert "Location" not in without.headers
    assert with_slash.json["code"] == without.json["code"]
    assert with_slash.json["code"] in ("validation_error", "token_missing")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/openapi.json"])
def test_the_machine_doors_never_redirect(path, client):
    assert client.get(path).status_code == 200
    assert client.get(f"{path}/").status_code in (200, 404)


def test_a_whole_sign_in_works_without_slashes_and_from_any_host(client):
    headers = {"Host": "evil.example"}
    registered = client.post("/api/register", json=GOOD, headers=headers)
    assert registered.status_code == 201
    pair = registered.json["tokens"]
    headers["Authorization"] = f"Bearer {pair['access']}"
    assert client.get("/api/user", headers=headers).json == registered.json["user"]
    refreshed = client.post("/api/token/refresh", json={"refresh": pair["refresh"]})
    assert refreshed.status_code == 200
    assert client.post("/api/logout", headers=headers).status_code == 204


@table(ODD_PATHS)
def test_an_odd_path_leads_nowhere(case, ada):
    headers = {"Authorization": f"Bearer {ada.tokens.access}"}
    response = raw(ada.client, case, headers=headers)
    assert is_problem(response, 404, "not_found")
    assert "Location" not in response.headers


@table({"dots": "..", "dots before": ".a..b", "long": "a" * 300})
def test_a_host_that_cannot_be_is_a_bad_request(case, client):
    assert is_problem(client.get("/healthz", headers={"Host": case}), 400, "bad_request")


@pytest.mark.parametrize("slash", ["/", ""], ids=["slash", "no slash"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "FOO"])
@pytest.mark.parametrize(("path", "allowed"), [("/api/login", "POST"), ("/metrics", "GET")])
def test_another_method_is_refused_with_those_allowed(path, allowed, method, slash, ada):
    response = ada.call(method, path + slash)
    assert is_problem(response, 405, "method_not_allowed")
    assert allowed in response.headers["Allow"].split(", ")
    assert method not in response.headers["Allow"].split(", ")


@pytest.mark.parametrize("method", ["GET", "TRACE", "FOO"])
def test_an_unknown_address_is_not_found_by_any_method(method, client):
    assert is_problem(client.open("/api/nothing/", method=method), 404, "not_found")


OVERRIDES = {
    "X-HTTP-Method-Override": {"headers": {"X-HTTP-Method-Override": "GET"}},
    "X-HTTP-Method": {"headers": {"X-HTTP-Method": "GET"}},
    "X-Method-Override": {"headers": {"X-Method-Override": "GET"}},
    "query": {"query_string": {"_method": "GET"}},
    "form": {"data": {"_method": "GET"}},
    "JSON": {"json": {"_method": "GET"}},
}


@table(OVERRIDES)
def test_a_method_cannot_be_overridden(case, ada):
    assert is_problem(ada.call("POST", "/api/user/", **case), 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/console", "/debug", "/debugger", "/static/x.js"])
def test_there_is_no_back_door(path, client):
    assert is_problem(client.get(path), 404, "not_found")


def test_the_debugger_is_not_there(app, client):
    query = {"__debugger__": "yes", "cmd": "resource", "f": "debugger.js"}
    assert not app.debug
    assert client.get("/", query_string=query).data == client.get("/").data
    answer = client.get("/healthz", query_string=query)
    assert answer.json == {"status": "ok"}
    assert not {"Server", "X-Powered-By"} & set(answer.headers.keys())


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "True-Client-IP": "203.0.113.9",
    "Client-IP": "203.0.113.9",
}


def test_a_direct_client_cannot_say_who_it_is(client, rows):
    registered = client.post("/api/register/", json=GOOD, headers=FORWARDED)
    assert registered.status_code == 201
    refused = client.post("/api/login/", json=GOOD | {"password": "wrong"}, headers=FORWARDED)
    assert refused.status_code == 400
    assert rows(db.select(Session.ip)) == ["127.0.0.1"]
    assert rows(db.select(AuditEvent.ip)) == ["127.0.0.1"] * 2
    assert "evil" not in registered.text + str(registered.headers)


# All doors


def test_every_door_works_with_its_slash_and_without_it(app, client):
    doors = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]
    assert len(doors) > 20
    for rule in doors:
        path = rule.rule.replace("<uuid:session_id>", str(uuid4()))
        for method in rule.methods:
            answers = [client.open(p, method=method) for p in (path, path.rstrip("/") + "/")]
            answers.append(client.open(path.rstrip("/"), method=method))
            assert len({(one.status_code, one.content_type) for one in answers}) == 1, rule
            assert not any("Location" in one.headers for one in answers), rule
