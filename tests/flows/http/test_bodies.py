"""Request bodies: size, strict JSON, fields, content types and forms."""

import io
import json
import threading

import pytest

from pycoder.db.base import Base
from pycoder.extensions import db
from pycoder.http.openapi import FORM
from pycoder.keys.ring import current_ring
from pycoder.models.audit import AuditEvent
from pycoder.models.user import User
from tests.support.constants import PASSWORD
from tests.support.parameters import table
from tests.support.requests import (
    API_PATHS,
    FIELDS,
    GOOD,
    LIMIT,
    NOT_JSON,
    ODD_PATHS,
    TEXT,
    WRONG,
    is_problem,
    post,
    raw,
)

# What crosses the wire does so before the database is asked, so one kind of it is enough.
pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]


# Size


@pytest.mark.parametrize("path", [p for p, method in API_PATHS.items() if method == "POST"])
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


@pytest.mark.parametrize(
    "path", [p for p, m in API_PATHS.items() if m == "POST" and "out" not in p]
)
@table(NOT_AN_OBJECT)
def test_json_that_is_not_the_object_asked_for_is_refused(case, path, client, nobody_registered):
    answer = post(client, case, path)
    assert is_problem(answer, 400, "validation_error")
    assert answer.json["errors"]


EVE = {**GOOD, "email": "eve@example.com"}
NULL_IS_LEFT_OUT = {
    "/api/register/": ("username", "first_name", "last_name"),
    "/api/login/": ("username",),
    "/api/token/revoke/": ("token_type_hint",),
    "/api/logout/": ("refresh",),
    "/api/user/": ("username", "first_name", "last_name", "proof"),
    **dict.fromkeys(("/api/password/change/", "/api/email/change/"), ("proof",)),
}


def is_taken(path, field, value):
    """Return whether a value is no error: ``null``, or text that ends no session."""
    if value is None:
        return field in NULL_IS_LEFT_OUT.get(path, ())
    ends = (path, field) in (("/api/token/revoke/", "token"), ("/api/logout/", "refresh"))
    return ends and isinstance(value, str)


@pytest.mark.parametrize(
    ("path", "field"),
    [(path, field) for path, fields in FIELDS.items() for field in fields],
    ids=lambda value: value.removeprefix("/api/").rstrip("/"),
)
@table(WRONG)
def test_a_field_of_the_wrong_kind_is_named(case, path, field, client, nobody_registered):
    if is_taken(path, field, case):
        return
    others = {"password": PASSWORD, "email": "ada@example.com", "token": "x"}
    body = {name: others[name] for name in FIELDS[path] if name in others and name != field}
    answer = client.post(path, json={**body, field: case})
    assert is_problem(answer, 400, "validation_error")
    assert field in answer.json["errors"]
    assert all(isinstance(reason, str) and reason for reason in answer.json["errors"][field])
    assert len(answer.data) < 1000


@pytest.mark.parametrize("name", ["username", "first_name", "last_name", "transport"])
def test_null_counts_as_left_out_where_a_field_is_optional(name, client, ada):
    answer = client.post("/api/register/", json={**EVE, name: None})
    assert answer.status_code == 201
    assert answer.json["user"]["username"] == "eve"
    assert answer.json["tokens"]
    assert ada.try_login(username=None, transport=None).status_code == 200
    before = ada.user().json
    assert ada.call("PATCH", "/api/user/", json={"username": None}).json == before


def test_null_is_no_password(ada, client, rows):
    for name in ("password", "password2"):
        answer = client.post("/api/register/", json={**EVE, name: None})
        assert is_problem(answer, 400, "validation_error")
        assert list(answer.json["errors"]) == [name]
    answer = ada.call("DELETE", "/api/user/", json={"password": None})
    assert is_problem(answer, 400, "validation_error")
    assert rows(db.select(User.username)) == ["ada"]


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
    name = "Zoë \\ud83d\\ude00 \u2014"
    body = TEXT.encode()[:-1] + f', "first_name": "{name}"}}'.encode()
    answer = post(client, body)
    assert answer.status_code == 201
    assert answer.json["user"]["first_name"] == "Zoë \U0001f600 \u2014"


UTF8_JSON = (
    "application/json",
    'application/json; charset="UTF-8"',
    "application/json;charset=utf-8",
    "application/json; charset=utf8",
    "application/json; charset=UTF8",
    "application/json; charset=utf_8",
    "application/json; Charset='utf-8'",
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
    "UTF-8 with a byte order mark": "application/json; charset=utf-8-sig",
    "UTF-32": "application/json; charset=utf-32",
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


@pytest.mark.parametrize("body", [b"", b"token_type_hint=access_token", b"x=token"])
def test_a_form_without_a_token_is_refused(body, client):
    answer = post(client, body, "/api/token/revoke/", FORM)
    assert is_problem(answer, 400, "validation_error")
    assert list(answer.json["errors"]) == ["token"]


NO_TOKENS = {
    "empty": b"token=",
    "NUL": b"token=%00",
    "two": b"token=a&token=b",
    "not UTF-8": b"token=%ff%fe",
    "60 KB": b"token=" + b"a" * 60_000,
    "semicolon": b"token=a;b",
    "many others": b"token=a&" + b"x=1&" * 5000,
    "two hints": b"token=a&token_type_hint=x&token_type_hint=y",
}


@table(NO_TOKENS)
def test_revoking_what_is_no_token_is_no_error(case, client):
    """RFC 7009, section 2.2."""
    answer = post(client, case, "/api/token/revoke/", FORM)
    assert (answer.status_code, answer.json) == (200, {})


def test_of_two_tokens_none_is_taken_and_one_that_is_repeated_is(ada):
    first, second = ada.tokens.refresh, ada.login().refresh
    for other, status in ((second, 200), (first, 401)):
        body = f"token={first}&token={other}".encode()
        assert post(ada.client, body, "/api/token/revoke/", FORM).status_code == 200
        assert ada.verify(first).status_code == status
        assert ada.verify(second).status_code == 200


def test_a_multipart_form_is_unsupported(client):
    answer = client.post(
        "/api/token/revoke/", data={"token": "x"}, content_type="multipart/form-data"
    )
    assert is_problem(answer, 415, "unsupported_media_type")


ACCOUNT_FIELDS = {
    "PATCH /api/user/": ("username", "first_name", "last_name"),
    "DELETE /api/user/": ("password", "proof"),
    "POST /api/reauthenticate/": ("password",),
    "POST /api/password/change/": ("current_password", "new_password", "proof"),
    "POST /api/password/reset/": ("email",),
    "POST /api/password/reset/confirm/": ("token", "new_password"),
    "POST /api/email/verify/": ("token",),
    "POST /api/email/undo/": ("token",),
    "POST /api/email/change/": ("email", "password", "proof"),
}


@pytest.mark.parametrize("door", ACCOUNT_FIELDS)
def test_a_field_of_the_account_of_the_wrong_kind_is_named_and_changes_nothing(door, ada, rows):
    method, path = door.split()
    for field in ACCOUNT_FIELDS[door]:
        for kind, value in WRONG.items():
            if is_taken(path, field, value):
                continue
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
        with app.app_context():
            remembered = current_ring().verify.cache_info().currsize
        count = db.select(db.func.count())
        return [rows(count.select_from(t)) for t in Base.metadata.sorted_tables], remembered

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
    before, threads = left(), threading.active_count()
    [ask() for _ in range(5)]
    assert left() == before
    assert threading.active_count() <= threads  # one of another test may have ended
    with app.app_context():
        assert {engine.pool.checkedout() for engine in db.engines.values()} == {0}
