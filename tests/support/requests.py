"""Requests with good, odd and malformed content, and the problems that answer them."""

import json
import re

from tests.support.constants import PASSWORD

LIMIT = 64 * 1024
API_PATHS = {
    "/api/register/": "POST",
    "/api/login/": "POST",
    "/api/user/": "GET",
    "/api/token/refresh/": "POST",
    "/api/token/verify/": "POST",
    "/api/token/revoke/": "POST",
    "/api/logout/": "POST",
}
GOOD = {"email": "ada@example.com", "password": PASSWORD}


def is_problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == code, response.json
    assert response.json["status"] == status
    if code == "validation_error":
        assert_coded(response.json)
    return True


def assert_coded(problem):
    """Assert that each reason of each field has a code beside it."""
    errors, codes = problem["errors"], problem["error_codes"]
    assert {field: len(reasons) for field, reasons in errors.items()} == {
        field: len(reasons) for field, reasons in codes.items()
    }
    for reasons in codes.values():
        for reason in reasons:
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason["code"])
            assert reason.keys() <= {"code", "minimum", "maximum", "choices"}


def post(client, data, path="/api/register/", content_type="application/json", **kwargs):
    return client.post(path, data=data, content_type=content_type, **kwargs)


def raw(client, path, method="GET", **kwargs):
    """Call a path exactly as given, without the normalization of the test client."""
    return client.open("/", method=method, environ_overrides={"PATH_INFO": path}, **kwargs)


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


def problem(response):
    return response.status_code, response.json["code"]
