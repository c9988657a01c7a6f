"""Problem documents (RFC 9457), and defects that reach only the log."""

import logging

import pytest

from pycoder.extensions import db
from pycoder.http.problems import PROBLEM_JSON
from tests.support.constants import PASSWORD

PARTS = ["type", "title", "status", "detail", "code", "request_id"]
SECRET = "hunter2-in-the-traceback"


def test_a_problem_is_an_rfc_9457_document(client):
    response = client.get("/api/user/")
    assert response.content_type == PROBLEM_JSON
    assert list(response.json) == PARTS
    assert response.json == {
        "type": "urn:pycoder:problem:token_missing",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Please sign in.",
        "code": "token_missing",
        "request_id": response.headers["X-Request-ID"],
    }


def test_bad_input_is_told_field_by_field(client):
    response = client.post("/api/register/", json={"email": 1, "first_name": "a" * 151, "x": 1})
    assert response.status_code == 400
    assert list(response.json) == [*PARTS, "errors", "error_codes"]
    assert response.json["error_codes"] == {
        "email": [{"code": "not_a_string"}],
        "first_name": [{"code": "too_long", "maximum": 150}],
        "password": [{"code": "required"}],
        "x": [{"code": "unknown_field"}],
    }
    assert set(response.json["errors"]) == {"email", "first_name", "password", "x"}
    for reasons in response.json["errors"].values():
        assert all(isinstance(reason, str) and reason.endswith(".") for reason in reasons)


CODES = {
    "email": [
        ("", {"code": "not_an_email"}),
        ("bob@example.com", {"code": "taken"}),
        ("eve@mail.test", {"code": "special_use_domain", "domain": "test"}),
        ("a\0@example.com", {"code": "invalid_characters"}),
    ],
    "username": [
        ("b", {"code": "invalid_username", "minimum": 3, "maximum": 150}),
        ("BOB", {"code": "taken"}),
    ],
    "password": [
        ("", {"code": "required"}),
        ("seven77", {"code": "too_short", "minimum": 8}),
        ("p" * 129, {"code": "too_long", "maximum": 128}),
        ("p" * 600, {"code": "too_long", "maximum": 512}),
        ("eve@example.com", {"code": "same_as_email"}),
        ("eve.mallory", {"code": "same_as_username"}),
        ("pycoderpycoder", {"code": "same_as_service"}),
        ("password123", {"code": "too_common"}),
    ],
    "password2": [("another pass phrase", {"code": "passwords_differ"})],
    "transport": [("fax", {"code": "not_a_choice", "choices": ["body", "cookie"]})],
}


@pytest.mark.parametrize("field", CODES)
def test_each_fault_has_one_reason_with_its_code(field, client, bob, setting):
    setting("PASSWORD_BLOCKLIST", True)
    good = {"email": "eve@example.com", "username": "eve.mallory", "password": PASSWORD}
    for value, code in CODES[field]:
        response = client.post("/api/register/", json={**good, field: value})
        assert response.status_code == 400
        assert {name: len(reasons) for name, reasons in response.json["errors"].items()} == {
            field: 1
        }
        assert response.json["error_codes"] == {field: [code]}


def test_the_codes_of_other_calls(ada, client):
    answers = {
        "unchanged": ada.call("POST", "/api/email/change/", json={"email": "ADA@example.com "}),
        "one_identifier": client.post("/api/login/", json={"password": "x"}),
        "not_an_object": client.post("/api/login/", json=[]),
        "invalid_key": ada.refresh(key="short"),
        "required": client.post("/api/token/refresh/", json={}),
    }
    for code, answer in answers.items():
        [[reason]] = answer.json["error_codes"].values()
        assert reason["code"] == code


TOKENS = {
    "none": (None, "token_missing", "Bearer"),
    "another scheme": ("Basic YTpi", "token_missing", "Bearer"),
    "nonsense": ("Bearer x.y.z", "token_invalid", 'Bearer error="invalid_token"'),
}


@pytest.mark.parametrize(("header", "code", "challenge"), TOKENS.values(), ids=TOKENS)
def test_token_trouble_names_the_scheme(header, code, challenge, client):
    headers = {"Authorization": header} if header else {}
    response = client.get("/api/user/", headers=headers)
    assert (response.status_code, response.json["code"]) == (401, code)
    assert response.headers.getlist("WWW-Authenticate") == [challenge]


def test_a_revoked_token_names_the_scheme_and_the_error(ada):
    assert ada.logout(ada.tokens.access).status_code == 204
    response = ada.user()
    assert (response.status_code, response.json["code"]) == (401, "token_revoked")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


# Defects


@pytest.fixture
def defective(app_on, tmp_path):
    """A client of an application with two defects."""
    app = app_on(f"sqlite:///{tmp_path / 'pycoder.db'}")

    @app.route("/api/boom/", methods=["GET", "POST"])
    def boom():
        raise RuntimeError(SECRET)

    @app.route("/api/table/")
    def table():
        db.session.execute(db.text("SELECT :secret FROM"), {"secret": SECRET})

    return app.test_client()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_defect_is_told_to_the_log_and_not_to_the_client(method, defective, caplog):
    with caplog.at_level(logging.ERROR):
        response = defective.open("/api/boom/", method=method)
    assert response.status_code == 500
    assert response.content_type == PROBLEM_JSON
    assert list(response.json) == PARTS
    assert response.json["code"] == "internal_error"
    assert "Retry-After" not in response.headers
    for word in (SECRET, "Traceback", "RuntimeError", "File ", ".py"):
        assert word not in response.text
    (record,) = caplog.records
    assert str(record.exc_info[1]) == SECRET


def test_no_parameter_of_a_query_reaches_the_client_or_the_log(defective, caplog):
    response = defective.get("/api/table/")
    assert response.status_code in (500, 503)
    assert "SELECT" not in response.text
    assert caplog.records
    assert SECRET not in response.text + caplog.text


EVIL = "2026-01-01 CRITICAL forged\x1b[31m\x85\u2028line".encode().decode("latin1")


def test_what_a_client_sends_makes_no_line_in_the_log(defective, caplog):
    overrides = {"QUERY_STRING": f"a=\n{EVIL}", "HTTP_USER_AGENT": f"\n{EVIL}"}
    response = defective.get("/api/boom/", environ_overrides=overrides)
    assert response.status_code == 500
    assert len(caplog.records) == 1
    assert "forged" not in caplog.text
