"""Headers of every response, and the request id."""

import re

import pytest

from config import DevelopmentConfig, ProductionConfig, TestingConfig
from pycoder import create_app
from tests.support.callers import Caller
from tests.support.constants import SECRET_KEY
from tests.support.parameters import table
from tests.support.requests import GOOD, LIMIT, post

# What crosses the wire does so before the database is asked, so one kind of it is enough.
pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@pytest.fixture
def broken(tmp_path):
    """An application with a defect at /api/boom/, and a database that is a directory."""
    environ = {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": f"sqlite:///{tmp_path}"}
    app = create_app(TestingConfig(environ, tmp_path))
    app.add_url_rule("/api/boom/", view_func=lambda: 1 / 0)
    return app.test_client()


# Headers of every answer

ANSWERS = {
    "200": (200, lambda good, broken: Caller(good).register() and Caller(good).try_login()),
    "200 outside /api/": (200, lambda good, broken: good.get("/healthz")),
    "201": (201, lambda good, broken: Caller(good).register()),
    "202": (202, lambda good, broken: good.post("/api/password/reset/", json={"email": "a"})),
    "204": (204, lambda good, broken: signed_in(good).call("POST", "/api/logout/")),
    "400": (400, lambda good, broken: good.post("/api/login/", json={})),
    "401": (401, lambda good, broken: good.get("/api/user/")),
    "404": (404, lambda good, broken: good.get("/api/nothing/")),
    "404 outside /api/": (404, lambda good, broken: good.get("/nothing")),
    "405": (405, lambda good, broken: good.get("/api/login/")),
    "413": (413, lambda good, broken: post(good, b" " * (LIMIT + 1))),
    "415": (415, lambda good, broken: post(good, b"{}", content_type="text/plain")),
    "429": (429, lambda good, broken: [Caller(good).try_login() for _ in range(11)][-1]),
    "500": (500, lambda good, broken: broken.get("/api/boom/")),
    "503": (503, lambda good, broken: broken.post("/api/login/", json=GOOD)),
}


def signed_in(client):
    caller = Caller(client)
    assert caller.register().status_code == 201
    return caller


@table(ANSWERS)
def test_every_answer_carries_the_security_headers_and_an_id(case, client, broken):
    status, ask = case
    response = ask(client, broken)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in SECURITY} == SECURITY
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert response.headers.getlist("X-Request-ID") == [response.headers["X-Request-ID"]]
    if status >= 400:
        assert response.json["request_id"] == response.headers["X-Request-ID"]
        assert response.content_type == "application/problem+json"
    elif status != 204:
        assert response.content_type == "application/json"
    else:
        assert response.data == b""
        assert "Content-Type" not in response.headers


@pytest.mark.parametrize(
    ("kind", "url", "sent"),
    [
        (ProductionConfig, "https://auth.pycoder.dev", "max-age=31536000; includeSubDomains"),
        (ProductionConfig, "https://localhost:8443", None),
        (DevelopmentConfig, "https://auth.pycoder.dev", None),
        (DevelopmentConfig, "http://localhost:8000", None),
    ],
)
def test_only_a_host_in_production_is_bound_to_https(kind, url, sent, new_app):
    response = new_app(kind, PUBLIC_URL=url).test_client().get("/healthz")
    assert response.headers.get("Strict-Transport-Security") == sent


@table(
    {
        "8": "a" * 8,
        "128": "Z" * 128,
        "uuid": "018f2f6e-7c1a-7e3b-9c42-5e1c6f1d2a3b",
        "dots": "a.b_c-d.1",
    }
)
def test_a_sane_request_id_is_the_callers_own(case, client):
    response = client.get("/api/user/", headers={"X-Request-ID": case})
    assert response.headers["X-Request-ID"] == case
    assert response.json["request_id"] == case


INSANE = {
    "too short": "a" * 7,
    "too long": "a" * 129,
    "10 KB": "a" * 10_240,
    "empty": "",
    "space": "abcd efgh",
    "line break": "abcdefgh\nSet-Cookie: a=b",
    "line break at the end": "abcdefgh\n",
    "carriage return": "abcdefgh\r\nX-Evil: 1",
    "markup": "<script>alert(1)</script>",
    "quotes": 'abcdefgh"',
    "NUL": "abcdefgh\0",
    "escape": "abcdefgh\x1b[31m",
    "letter of another script": "abcdefgh\xe9",
    "two, joined": "abcdefgh, ijklmnop",
}


@table(INSANE)
def test_an_insane_request_id_is_replaced(case, client):
    response = client.get("/api/user/", environ_overrides={"HTTP_X_REQUEST_ID": case})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert not {"X-Evil", "Set-Cookie"} & set(response.headers.keys())


def test_two_requests_have_two_ids(client):
    first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))
    assert first != second
