import io
import json
import re
import threading
from uuid import uuid4

import pytest

from config import DevelopmentConfig, TestingConfig
from pycoder import create_app
from pycoder.db.base import Base
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.callers import PASSWORD, SECRET_KEY, Caller

# What crosses the wire does so before the database is asked, so one kind of it is enough.
pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]

LIMIT = 64 * 1024
DOORS = {
    "/api/register/": "POST",
    "/api/login/": "POST",
    "/api/user/": "GET",
    "/api/token/refresh/": "POST",
    "/api/token/verify/": "POST",
    "/api/token/revoke/": "POST",
    "/api/logout/": "POST",
}
GOOD = {"email": "ada@example.com", "password": PASSWORD}
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def table(cases):
    """Parametrise by a dictionary of names and values."""
    return pytest.mark.parametrize("case", list(cases.values()), ids=list(cases))


def is_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == code, response.json
    assert response.json["status"] == status
    return True


def post(client, data, path="/api/register/", content_type="application/json", **kwargs):
    return client.post(path, data=data, content_type=content_type, **kwargs)


def raw(client, path, method="GET", **kwargs):
    """Call a path as a server would hand it over, with nothing put in order before."""
    return client.open("/", method=method, environ_overrides={"PATH_INFO": path}, **kwargs)


@pytest.fixture
def nobody_registered(rows):
    yield
    assert rows(db.select(User)) == []
    assert rows(db.select(Session)) == []


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


# Addresses and methods


def test_the_doors_are_those_of_the_contract(app):
    assert set(DOORS) <= {rule.rule for rule in app.url_map.iter_rules()}


@pytest.mark.parametrize("path", DOORS)
def test_a_path_works_with_its_slash_and_without_it(path, client):
    method = DOORS[path]
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


ODD_PATHS = {
    "NUL": "/api/user/\0",
    "NUL before the end": "/api/user\0/",
    "not UTF-8": "/api/\xff",
    "two slashes at the start": "//api/user/",
    "two slashes within": "/api//user/",
    "two slashes at the end": "/api/user//",
    "slashes alone": "//",
    "another host": "//evil.example/api/user/",
    "dots and a semicolon": "/..;/api/user/",
    "semicolon": "/api/user;x=1/",
    "dots": "/api/user/../user/",
    "dot": "/api/./user/",
    "backslash": "\\api\\user\\",
    "capitals": "/API/USER/",
    "space": "/api/user/ ",
    "line break": "/api/user/\n",
    "tab": "/api/\tuser/",
    "5 KB": "/api/" + "a" * 5120,
    "5 KB of slashes": "/" * 5120,
    "escape": "/api/%75ser/",
    "placeholder": "/api/<user>/",
    "star": "*",
    "api": "/api/",
}


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


@pytest.mark.parametrize("path", ["/console", "/debug", "/debugger", "/admin/", "/static/x.js"])
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


# Size


@pytest.mark.parametrize("path", [p for p, method in DOORS.items() if method == "POST"])
def test_a_body_of_more_than_64_kib_is_refused(path, client):
    assert is_problem(post(client, b" " * (LIMIT + 1), path), 413, "body_too_large")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_large_body_is_refused_whatever_it_is(content_type, client):
    body = b"token=" + b"a" * LIMIT
    answer = post(client, body, "/api/token/revoke/", content_type)
    assert is_problem(answer, 413, "body_too_large")


def padded(size):
    return json.dumps(GOOD).encode().ljust(size)


def test_a_body_of_64_kib_is_read(client):
    assert post(client, padded(LIMIT)).status_code == 201


class Chunks(io.RawIOBase):
    """A body whose length nobody told; counts how much of it was read."""

    def __init__(self, start, size):
        self.start, self.size, self.read_so_far = start, size, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        length = min(len(buffer), self.size - self.read_so_far)
        chunk = self.start[self.read_so_far : self.read_so_far + length].ljust(length)
        buffer[:length] = chunk
        self.read_so_far += length
        return length


def post_chunked(client, chunks, **kwargs):
    overrides = {
        "wsgi.input": chunks,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    return post(client, None, environ_overrides=overrides, **kwargs)


def test_a_chunked_body_is_read(client):
    assert post_chunked(client, Chunks(padded(1024), 1024)).status_code == 201


@table({"one byte more": LIMIT + 1, "twice": 2 * LIMIT, "50 MB": 50_000_000})
def test_a_large_chunked_body_is_refused_and_not_read_to_its_end(case, client, nobody_registered):
    chunks = Chunks(padded(1024), case)
    assert is_problem(post_chunked(client, chunks), 413, "body_too_large")
    assert chunks.read_so_far <= 2 * LIMIT


def test_a_large_chunked_form_is_refused(client):
    chunks = Chunks(b"token=" + b"a" * 2 * LIMIT, 2 * LIMIT)
    answer = post_chunked(
        client, chunks, path="/api/token/revoke/", content_type="application/x-www-form-urlencoded"
    )
    assert is_problem(answer, 413, "body_too_large")


# JSON

TEXT = json.dumps(GOOD)
NOT_JSON = {
    "brace": b"{",
    "spaces": b"   ",
    "two values": TEXT.encode() + b" {}",
    "single quotes": b"{'email': 'ada@example.com'}",
    "trailing comma": b'{"email": "ada@example.com",}',
    "comment": b"/* */ " + TEXT.encode(),
    "duplicate name": b'{"email": "eve@example.com",' + TEXT.encode()[1:],
    "duplicate name, spelt otherwise": b'{"\\u0065mail": "eve@example.com",' + TEXT.encode()[1:],
    "duplicate name within": b'{"email": {"a": 1, "a": 2}}',
    "NaN": b'{"email": NaN}',
    "Infinity": b'{"email": Infinity}',
    "-Infinity": b'{"email": -Infinity}',
    "1e999": b'{"email": 1e999}',
    "-1e999": b'{"email": -1e999}',
    "int of 5000 digits": b'{"email": ' + b"9" * 5000 + b"}",
    "lone high surrogate": b'{"email": "\\ud800@example.com"}',
    "lone low surrogate": b'{"email": "\\udc00@example.com"}',
    "surrogates swapped": b'{"email": "\\udc00\\ud800@example.com"}',
    "lone surrogate as a name": b'{"\\ud800": 1}',
    "NUL, raw": b'{"email": "a\0@example.com"}',
    "line break, raw": b'{"email": "a\n@example.com"}',
    "BOM": b"\xef\xbb\xbf" + TEXT.encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16-LE": TEXT.encode("utf-16-le"),
    "UTF-16-BE": TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "Latin-1": b'{"email": "\xe9@example.com"}',
    "cut UTF-8": b'{"email": "\xc3"}',
    "overlong UTF-8": b'{"email": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"email": "\xed\xa0\x80"}',
    "depth 2000": b"[" * 2000 + b"]" * 2000,
    "depth 2000 of objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "depth 60000": b"[" * 60_000,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "form": b"email=ada%40example.com&password=x",
}


@pytest.mark.parametrize("path", ["/api/register/", "/api/login/"])
@table(NOT_JSON)
def test_what_is_not_strict_json_is_malformed(case, path, client, nobody_registered):
    assert is_problem(post(client, case, path), 400, "malformed_json")


NOT_AN_OBJECT = {
    "empty": b"",
    "list": b"[]",
    "list of objects": f"[{TEXT}]".encode(),
    "string": b'"x"',
    "null": b"null",
    "number": b"1",
    "true": b"true",
    "depth 500": b"[" * 500 + b"]" * 500,
    "empty object": b"{}",
}


@pytest.mark.parametrize("path", [p for p, m in DOORS.items() if m == "POST" and "out" not in p])
@table(NOT_AN_OBJECT)
def test_json_that_is_not_the_object_asked_for_is_refused(case, path, client, nobody_registered):
    answer = post(client, case, path)
    assert is_problem(answer, 400, "validation_error")
    assert answer.json["errors"]


WRONG = {
    "integer": 1,
    "large integer": 10**400,
    "float": 1.5,
    "true": True,
    "false": False,
    "list": ["ada@example.com"],
    "object": {"$ne": ""},
    "null": None,
    "NUL": "ada\0@example.com",
    "a string of 60 KB": "a" * 60_000,
}
FIELDS = {
    "/api/register/": ("email", "password", "password2", "username", "first_name", "last_name"),
    "/api/login/": ("email", "password", "username"),
    "/api/token/refresh/": ("refresh",),
    "/api/token/verify/": ("token",),
    "/api/token/revoke/": ("token", "token_type_hint"),
    "/api/logout/": ("refresh",),
}


@pytest.mark.parametrize(
    ("path", "field"),
    [(path, field) for path, fields in FIELDS.items() for field in fields],
    ids=lambda value: value.removeprefix("/api/").rstrip("/"),
)
@table(WRONG)
def test_a_field_of_the_wrong_kind_is_named(case, path, field, client, nobody_registered):
    others = {"password": PASSWORD, "email": "ada@example.com", "token": "x"}
    body = {name: others[name] for name in FIELDS[path] if name in others and name != field}
    answer = client.post(path, json={**body, field: case})
    assert is_problem(answer, 400, "validation_error")
    assert field in answer.json["errors"]
    assert all(isinstance(reason, str) and reason for reason in answer.json["errors"][field])
    assert len(answer.data) < 1000


RISKY = {
    "id": 7,
    "is_admin": True,
    "is_active": False,
    "email_verified": True,
    "role": "admin",
    "date_joined": "2000-01-01T00:00:00+00:00",
    "password_hash": "x",
    "email_key": "eve@example.com",
    "__class__": "x",
    "_schema": 1,
    "": 1,
}


@pytest.mark.parametrize("field", RISKY)
def test_an_unknown_field_is_refused_and_named(field, client, nobody_registered):
    for path in ("/api/register/", "/api/login/"):
        answer = client.post(path, json={**GOOD, field: RISKY[field]})
        assert is_problem(answer, 400, "validation_error")
        assert answer.json["errors"].keys() == {"body" if field == "_schema" else field}


def test_nobody_makes_oneself_an_administrator(ada, rows):
    def row():
        user = rows(db.select(User))[0]
        return {column.key: getattr(user, column.key) for column in User.__table__.columns}

    before = row()
    assert ada.try_login(**RISKY).status_code == 400
    assert ada.register(**RISKY).status_code == 400
    assert ada.call("POST", "/api/logout/", json=RISKY).status_code == 400
    assert row() == before
    assert (before["is_active"], before["email_verified"]) == (True, False)


def test_json_may_use_every_character(client):
    name = "Zoë \\ud83d\\ude00 \u202e"
    body = TEXT.encode()[:-1] + f', "first_name": "{name}"}}'.encode()
    answer = post(client, body)
    assert answer.status_code == 201
    assert answer.json["user"]["first_name"] == "Zoë \U0001f600 \u202e"


UTF8_JSON = (
    "application/json",
    'application/json; charset="UTF-8"',
    "application/json;charset=utf-8",
)


@pytest.mark.parametrize("content_type", UTF8_JSON)
def test_json_is_declared_in_these_ways(content_type, client):
    assert post(client, TEXT, content_type=content_type).status_code == 201


OTHER_TYPES = {
    "none": None,
    "text": "text/plain",
    "HTML": "text/html",
    "XML": "application/xml",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=x",
    "bytes": "application/octet-stream",
    "UTF-16": "application/json; charset=utf-16",
    "Latin-1": "application/json; charset=iso-8859-1",
    "nonsense": "json",
}


@pytest.mark.parametrize("path", ["/api/register/", "/api/token/verify/"])
@table(OTHER_TYPES)
def test_a_body_of_another_type_is_unsupported(case, path, client, nobody_registered):
    assert is_problem(post(client, TEXT, path, case), 415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_packed_body_is_unsupported(encoding, client, nobody_registered):
    answer = post(client, TEXT, headers={"Content-Encoding": encoding})
    assert is_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["data", "json"])
def test_revoke_takes_a_form_and_json(kind, ada):
    body = {kind: {"token": ada.login().refresh}}
    assert ada.user().status_code == 200
    assert ada.client.post("/api/token/revoke/", **body).status_code == 200
    assert ada.user().json["code"] == "token_revoked"


FORMS = {
    "token twice": (b"token=a&token=b", 400, "validation_error"),
    "hint twice": (b"token=a&token_type_hint=x&token_type_hint=y", 400, "validation_error"),
    "no token": (b"token_type_hint=access_token", 400, "validation_error"),
    "empty token": (b"token=", 400, "validation_error"),
    "NUL": (b"token=%00", 400, "validation_error"),
}


@table(FORMS)
def test_a_bad_form_is_refused(case, client):
    body, status, code = case
    answer = post(client, body, "/api/token/revoke/", "application/x-www-form-urlencoded")
    assert is_problem(answer, status, code)


@pytest.mark.parametrize("body", [b"token=%ff%fe", b"token=a&" + b"x=1&" * 5000, b"token=a;b"])
def test_an_odd_form_does_no_harm(body, client):
    answer = post(client, body, "/api/token/revoke/", "application/x-www-form-urlencoded")
    assert answer.status_code in (200, 400)


def test_a_multipart_form_is_unsupported(client):
    answer = client.post(
        "/api/token/revoke/", data={"token": "x"}, content_type="multipart/form-data"
    )
    assert is_problem(answer, 415, "unsupported_media_type")


# Other origins

HOME = "https://app.pycoder.dev"
ALSO = "https://admin.pycoder.dev:8443"
STRANGERS = {
    "null": "null",
    "good.evil": "https://good.evil",
    "suffix": "https://app.pycoder.dev.evil.example",
    "prefix": "https://evilapp.pycoder.dev",
    "subdomain": "https://x.app.pycoder.dev",
    "parent": "https://pycoder.dev",
    "dot for any letter": "https://appxpycoder.dev",
    "http": "http://app.pycoder.dev",
    "other port": "https://app.pycoder.dev:444",
    "listed without its port": "https://admin.pycoder.dev",
    "user info": "https://app.pycoder.dev@evil.example",
    "path": "https://app.pycoder.dev/",
    "two": "https://app.pycoder.dev https://evil.example",
    "line break": "https://app.pycoder.dev\n.evil.example",
    "star": "*",
    "empty": "",
}


@pytest.fixture(scope="module", params=[HOME, f"{HOME},{ALSO}"], ids=["one origin", "two origins"])
def elsewhere(request, tmp_path_factory):
    """A client of an application that lists origins."""
    environ = {"SECRET_KEY": SECRET_KEY, "CORS_ORIGINS": request.param}
    app = create_app(TestingConfig(environ, tmp_path_factory.mktemp("elsewhere")))
    return app.test_client(use_cookies=False)


def cross(client, origin, method="GET", path="/api/user/"):
    """Call from another origin; for OPTIONS, as a browser asks before a POST with JSON."""
    headers = {}
    if method == "OPTIONS":
        headers["Access-Control-Request-Method"] = "POST"
        headers["Access-Control-Request-Headers"] = "authorization,content-type,x-evil"
    overrides = {} if origin is None else {"HTTP_ORIGIN": origin}
    return client.open(path, method=method, headers=headers, environ_overrides=overrides)


def allowed(response):
    names = [name for name, _ in response.headers if name.startswith("Access-Control-")]
    return {name: response.headers.getlist(name) for name in names}


@pytest.mark.parametrize("path", ["/api/user/", "/api/user", "/api/nothing/", "/api/login/"])
def test_a_listed_origin_may_read_every_answer_with_credentials(path, elsewhere):
    response = cross(elsewhere, HOME, path=path)
    assert allowed(response) == {
        "Access-Control-Allow-Origin": [HOME],
        "Access-Control-Allow-Credentials": ["true"],
        "Access-Control-Expose-Headers": ["Retry-After, WWW-Authenticate, X-Request-ID"],
    }


@pytest.mark.parametrize("path", ["/api/login/", "/api/login", "/api/user/", "/api/user"])
def test_a_preflight_of_a_listed_origin_is_answered(path, elsewhere):
    response = cross(elsewhere, HOME, "OPTIONS", path)
    headers = response.headers
    assert response.status_code in (200, 204)
    assert response.data == b""
    assert headers["Access-Control-Allow-Origin"] == HOME
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(
        headers["Access-Control-Allow-Methods"].split(", ")
    )
    assert "TRACE" not in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@table(STRANGERS)
def test_a_stranger_is_allowed_nothing(case, method, elsewhere):
    response = cross(elsewhere, case, method)
    assert allowed(response) == {}


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_nothing_is_said_of_origins_where_none_asks(method, elsewhere):
    response = cross(elsewhere, None, method)
    assert allowed(response) == {}


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", [HOME, "https://good.evil", None])
def test_a_cache_learns_that_the_answer_depends_on_the_origin(origin, method, elsewhere):
    assert "Origin" in cross(elsewhere, origin, method).vary


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", [HOME, "null", "*", "http://localhost:3000", None])
def test_without_listed_origins_nobody_is_allowed_anything(origin, method, client):
    assert allowed(cross(client, origin, method)) == {}


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    """A client of an application in development."""
    config = DevelopmentConfig({"SECRET_KEY": SECRET_KEY}, tmp_path_factory.mktemp("at_home"))
    return create_app(config).test_client(use_cookies=False)


@pytest.mark.parametrize(
    "origin", ["http://localhost", "http://localhost:5173", "http://127.0.0.1:3000"]
)
def test_development_allows_localhost_on_any_port(origin, at_home):
    assert cross(at_home, origin).headers["Access-Control-Allow-Origin"] == origin


NOT_LOCALHOST = {
    "suffix": "http://localhost.evil.example",
    "suffix of a port": "http://localhost:3000.evil.example",
    "suffix of an address": "http://127.0.0.1.evil.example",
    "user info": "http://localhost:80@evil.example",
    "dots for any letter": "http://127x0x0x1",
    "https": "https://localhost",
    "prefix": "http://evil-localhost",
    "null": "null",
}


@table(NOT_LOCALHOST)
def test_development_allows_nobody_else(case, at_home):
    assert allowed(cross(at_home, case)) == {}
    assert allowed(cross(at_home, case, "OPTIONS")) == {}


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


ACCOUNT_FIELDS = {
    "PATCH /api/user/": ("username", "first_name", "last_name"),
    "DELETE /api/user/": ("password",),
    "POST /api/password/change/": ("current_password", "new_password"),
    "POST /api/password/reset/": ("email",),
    "POST /api/password/reset/confirm/": ("token", "new_password"),
    "POST /api/email/verify/": ("token",),
    "POST /api/email/change/": ("email", "password"),
}


@pytest.mark.parametrize("door", ACCOUNT_FIELDS)
def test_a_field_of_the_account_of_the_wrong_kind_is_named_and_changes_nothing(door, ada, rows):
    method, path = door.split()
    for field in ACCOUNT_FIELDS[door]:
        for kind, value in WRONG.items():
            answer = ada.call(method, path, json={field: value})
            assert is_problem(answer, 400, "validation_error"), kind
            assert field in answer.json["errors"], kind
    answer = ada.call(method, path, json={"surprise": 1})
    assert "surprise" in answer.json["errors"]
    for body in (b"{", b"[]", b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}'):
        answer = ada.call(method, path, data=body, content_type="application/json")
        assert answer.status_code == 400
    assert is_problem(
        ada.call(method, path, data="x", content_type="text/plain"), 415, "unsupported_media_type"
    )
    assert ada.user().status_code == 200
    assert rows(db.select(AuditEvent.event)) == ["user.registered"]


@pytest.mark.parametrize("accept", ["text/html", "image/png", "*/*;q=0", "application/xml"])
def test_an_answer_is_json_whatever_else_is_wanted(accept, client):
    for path, status in (("/healthz", 200), ("/api/user/", 401), ("/api/nothing/", 404)):
        answer = client.get(path, headers={"Accept": accept})
        assert answer.status_code == status
        assert answer.json["status"] in ("ok", status)


def test_bad_requests_leave_nothing_behind(app, ada, no_limits, rows):
    """Neither a row nor a thread, nor a token in the memory of the ring; no connection is out."""

    def left():
        counts = [db.select(db.func.count()).select_from(t) for t in Base.metadata.sorted_tables]
        with app.app_context():
            remembered = current_ring().open.cache_info().currsize
        return [rows(count) for count in counts], threading.active_count(), remembered

    def ask():
        for body in NOT_JSON.values():
            post(ada.client, body, "/api/login/")
        for path, fields in FIELDS.items():
            for value in (*WRONG.values(), "x.y.z", ada.tokens.access[:-1]):
                ada.client.post(path, json=dict.fromkeys(fields, value))
        for path in ODD_PATHS.values():
            raw(ada.client, path)
        for credential in ("x.y.z", f"{ada.tokens.access}=", "a" * 5000, "é"):
            ada.user(credential.encode().decode("latin-1"))

    ask()
    before = left()
    for _ in range(5):
        ask()
    assert left() == before
    with app.app_context():
        assert {engine.pool.checkedout() for engine in db.engines.values()} == {0}
