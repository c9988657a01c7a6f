"""The OpenAPI document, and the application against it."""

import base64
import re
from collections import Counter
from uuid import uuid4

import pytest
import schemathesis
import schemathesis.engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import FatalError, NonFatalError, PhaseFinished

from config import TestingConfig
from pycoder import create_app, errors
from pycoder.accounts import administration, roles
from pycoder.errors import Problem
from pycoder.http.openapi import FORM, WITH_BODY
from pycoder.tokens import introspection
from tests.support.callers import Caller
from tests.support.constants import PASSWORD, SECRET_KEY
from tests.support.cookies import Browser

PROBLEM = "application/problem+json"
PROBLEM_STATUS = "400".__le__
OPEN_TO_ALL = {
    "POST /api/register/",
    "POST /api/login/",
    "POST /api/login/enrol/",
    "POST /api/login/second-step/",
    "POST /api/login/passkey/",
    "POST /api/login/passkey/options/",
    "POST /api/token/refresh/",
    "POST /api/token/verify/",
    "POST /api/token/revoke/",
    "POST /api/password/reset/",
    "POST /api/password/reset/confirm/",
    "POST /api/email/verify/",
    "POST /api/email/undo/",
    "POST /api/factors/undo/",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/openid-configuration",
    "GET /.well-known/passkey-endpoints",
    "GET /.well-known/status/{number}.jwt",
    "GET /api/openapi.json",
    "GET /api/docs/",
}
PARAMETER = re.compile(r"<(?:[^:>]*:)?([^>]*)>")  # Flask's <uuid:id> is OpenAPI's {id}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    app = create_app(TestingConfig({"SECRET_KEY": SECRET_KEY}, tmp_path_factory.mktemp("document")))
    response = app.test_client().get("/api/openapi.json")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    return response.json


@pytest.fixture(scope="module")
def operations(document):
    """All operations, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def nodes(part):
    """Yield every object in a document."""
    if isinstance(part, dict):
        yield part
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, (dict, list)):
            yield from nodes(value)


def in_braces(match):
    return f"{{{match[1]}}}"


def codes(operation, status):
    return set(operation["responses"][status]["content"][PROBLEM]["examples"])


def test_the_document_is_openapi_3_1(document):
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"] == "PyCoder"
    schemathesis.openapi.from_dict(document).validate()


def test_the_check_of_the_document_can_fail(document):
    broken = {**document, "info": {}}
    with pytest.raises(Exception, match="required"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_route_is_documented_and_nothing_else(app, operations):
    routes = {
        f"{method} {PARAMETER.sub(in_braces, rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith("web.")  # pages are for people
    }
    assert {route.rstrip("/") for route in routes} == {name.rstrip("/") for name in operations}


def test_the_document_does_not_depend_on_how_often_it_was_made(document, client):
    assert client.get("/api/openapi.json").json == document


def test_every_operation_says_what_it_does(operations):
    for name, operation in operations.items():
        assert operation["summary"].endswith("."), name
        assert operation["tags"], name
    assert len({operation["summary"] for operation in operations.values()}) == len(operations)


def test_every_operation_documents_its_faults_as_problems(document, operations):
    for name, operation in operations.items():
        documented = operation["responses"]
        assert {"400", "500", "503"} <= documented.keys(), name
        for status, response in documented.items():
            assert response["headers"]["X-Request-ID"]["required"], (name, status)
            if status >= "400":
                assert set(response["content"]) == {PROBLEM}, (name, status)
                assert codes(operation, status), (name, status)


def test_every_operation_with_a_body_documents_how_it_is_refused(operations):
    with_body = [operation for operation in operations.values() if "requestBody" in operation]
    assert len(with_body) >= 6
    for operation in with_body:
        for problem in WITH_BODY:
            assert problem.code in codes(operation, str(problem.status))


def guarded(operations):
    ways = [{"bearer": []}, {"cookie": []}], [{"bearer": []}, {"cookie": [], "csrf": []}]
    return {name for name, one in operations.items() if one.get("security") in ways}


def test_every_operation_with_a_token_documents_how_it_is_refused(operations):
    for name in guarded(operations) | {"POST /api/token/refresh/"}:
        refused = codes(operations[name], "401")
        assert {"token_missing", "token_invalid", "token_expired", "token_revoked"} <= refused, name
    assert "token_reused" in codes(operations["POST /api/token/refresh/"], "401")


SIGN_INS = {"POST /api/register/", "POST /api/login/", "POST /api/login/second-step/"}
SIGN_INS |= {"POST /api/login/passkey/"}


def test_what_may_change_something_by_cookie_needs_the_csrf_token(document, operations):
    assert document["components"]["securitySchemes"]["csrf"]["name"] == "X-CSRF-TOKEN"
    for name, operation in operations.items():
        ways = [
            way for way in operation.get("security", []) if any("cookie" in kind for kind in way)
        ]
        changes = not name.startswith("GET")
        assert all(("csrf" in way) == changes for way in ways), name
        signs_in = name in SIGN_INS
        refused = "403" in operation["responses"] and "csrf_failed" in codes(operation, "403")
        assert refused == (signs_in or (bool(ways) and changes)), name


def test_the_headers_that_a_client_acts_upon_are_documented(operations):
    needed = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for name, operation in operations.items():
        for status in operation["responses"].keys() & needed.keys():
            assert operation["responses"][status]["headers"][needed[status]]["required"], name


TOLD = {"Set-Cookie", "ETag", "Allow", "Retry-After", "WWW-Authenticate"}


def test_what_an_answer_carries_is_documented(operations, app):
    """The headers that a client acts upon, the status and the content type."""
    grace = Browser(app)
    answers = {
        "POST /api/register/": grace.register(),
        "POST /api/login/": grace.sign_in(),
        "POST /api/token/refresh/": grace.refresh(),
        "POST /api/password/change/": grace.call(
            "POST",
            "/api/password/change/",
            json={"current_password": PASSWORD, "new_password": PASSWORD[::-1]},
        ),
        "GET /api/user/": grace.call("PUT", "/api/user/"),
        "POST /api/logout/": grace.logout(),
        "GET /metrics": grace.client.get("/metrics"),
        "GET /.well-known/jwks.json": grace.client.get("/.well-known/jwks.json"),
        "GET /.well-known/status/{number}.jwt": grace.client.get("/.well-known/status/0.jwt"),
    }
    seen = set()
    for name, answer in answers.items():
        documented = operations[name]["responses"][str(answer.status_code)]
        seen |= TOLD & set(answer.headers.keys())
        assert TOLD & set(answer.headers.keys()) <= documented["headers"].keys(), name
        assert (answer.mimetype in documented.get("content", {})) == bool(answer.data), name
        if "ETag" in answer.headers:
            headers = {"If-None-Match": answer.headers["ETag"]}
            same = grace.client.get(answer.request.path, headers=headers)
            assert same.status_code == 304
            assert "ETag" in operations[name]["responses"]["304"]["headers"]
    assert seen == {"Set-Cookie", "ETag", "Allow"}


def test_the_operations_say_who_may_call_them(document, operations):
    schemes = document["components"]["securitySchemes"]
    assert [schemes[name]["scheme"] for name in ("bearer", "basic")] == ["bearer", "basic"]
    for name, operation in operations.items():
        if name == "POST /api/logout/":  # an access token, or a refresh token in the body
            assert operation["security"] == [{"bearer": []}, {"cookie": [], "csrf": []}, {}]
        elif name == "POST /api/token/introspect/":  # a service
            assert operation["security"] == [{"basic": []}]
        else:
            assert (name in guarded(operations)) == (name not in OPEN_TO_ALL), name


def test_only_what_oauth_libraries_call_takes_a_form(operations):
    takes = {
        name: set(operation["requestBody"]["content"])
        for name, operation in operations.items()
        if "requestBody" in operation
    }
    for path in ("revoke", "introspect"):
        assert takes.pop(f"POST /api/token/{path}/") == {"application/json", FORM}
    assert all(types == {"application/json"} for types in takes.values())


def test_the_examples_are_problem_documents_as_they_are_sent(document, operations, client):
    sent = client.get("/api/user/").json
    for operation in operations.values():
        for status, response in operation["responses"].items():
            for code, example in (
                response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items()
            ):
                value = example["value"]
                assert value.keys() - {"errors", "error_codes"} == sent.keys()
                assert (value["code"], str(value["status"])) == (code, status)
                assert value["type"] == f"urn:pycoder:problem:{code}"


def test_the_documented_codes_are_those_of_the_code(operations):
    documented = {
        code
        for operation in operations.values()
        for status in filter(PROBLEM_STATUS, operation["responses"])
        for code in codes(operation, status)
    }
    known = {
        value.code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Problem) and hasattr(value, "code")
    }
    assert documented <= known
    # 404 and 405 are answers of addresses and methods that no operation stands for
    assert known - documented <= {"not_found", "method_not_allowed"}


def test_every_reference_leads_somewhere_and_every_schema_is_used(document):
    references = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references == schemas


def test_patterns_are_regular_expressions_of_json_schema(document):
    for node in nodes(document):
        if isinstance(node.get("pattern"), str):
            assert not re.search(r"\\[AZz]|\(\?P", node["pattern"]), node
            assert re.fullmatch(r"\^.*\$", node["pattern"]), node


def test_what_is_secret_is_never_in_an_answer(document):
    def names(reference):
        schema = document["components"]["schemas"][reference]
        return set(schema["properties"])

    assert names("User") == {
        "id", "email", "email_verified", "username", "first_name", "last_name", "date_joined",
        "roles", "external_id",
    }  # fmt: skip
    assert names("TokenPair") == {"access", "refresh"}
    assert names("LoginResult") == {"user", "tokens", "expires_in", "csrf_token"}


# The document against the product

CHECKS = {
    # "Valid data should have been accepted": a schema judges form. Whether an address is taken, a
    # password is the right one, a token or session is one of ours, and whether a user has a role
    # are facts, refused with these.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "403", "404"]},
    # Calls the application in a way that Werkzeug's test client does not know (max_redirects, in
    # schemathesis 4.32.5). test_what_needs_a_token_is_refused_without_one stands in for it.
    "ignored_auth": {"enabled": False},
}
FOUND_BY_CHANCE = 20


@pytest.mark.parametrize("header", [None, "Bearer x.y.z", "Bearer", "Basic YTpi"])
def test_what_needs_a_token_is_refused_without_one(header, operations, client):
    headers = {"Authorization": header} if header else {}
    for name in guarded(operations):
        method, path = name.split()
        path = re.sub("{.*?}", str(uuid4()), re.sub("{(passkey|user)_id}", "1", path))
        response = client.open(path, method=method, headers=headers)
        assert response.status_code == 401, name


@pytest.fixture
def fuzzer(app, bob, no_limits):
    """Schemathesis with all its phases; it signs out Carol and Dora alone, and deletes Dora."""
    carol = Caller(app.test_client(), "carol@example.com")
    dora = Caller(app.test_client(), "dora@example.com")
    assert carol.register().status_code == dora.register().status_code == 201

    erin = Caller(app.test_client(), "erin@example.com")
    assert erin.register().status_code == 201
    with app.app_context():
        roles.grant_role(administration.find_user(erin.email), "admin")
    erin.login()  # whose changes are refused, because they lack a proof

    with app.app_context():
        secret = introspection.create_client("shop")
    shop = base64.b64encode(f"shop:{secret}".encode()).decode()

    def bearer(caller):
        return {"Authorization": f"Bearer {caller.tokens.access}"}

    config = SchemathesisConfig.from_dict(
        {
            "seed": 20_260_101,
            "continue-on-failure": True,
            "cache": {"enabled": False},
            "generation": {
                "max-examples": FOUND_BY_CHANCE,
                "database": "none",
                "deterministic": True,
            },
            "checks": CHECKS,
            "headers": bearer(bob),
            "operations": [
                {"include-path": "/api/logout/", "headers": bearer(carol)},
                {"include-path-regex": "^/api/admin/", "headers": bearer(erin)},
                {"include-operation-id": "delete_user", "headers": bearer(dora)},
                {"include-operation-id": "end_session", "headers": bearer(dora)},
                {
                    "include-operation-id": "introspect",
                    "headers": {"Authorization": f"Basic {shop}"},
                },
            ],
        }
    )
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app, config=config)
    return schemathesis.engine.from_schema(schema)


@pytest.mark.untraced  # it repeats, a thousand times, what other tests trace
def test_no_request_finds_a_fault_or_an_undocumented_answer(fuzzer, operations, bob):
    failures, faults, answers, phases = [], [], Counter(), {}
    for event in fuzzer.execute():
        if isinstance(event, (NonFatalError, FatalError)):
            faults.append(event)
        if isinstance(event, PhaseFinished):
            phases[event.phase.name.value] = event.status.value
        for case_id, checks in getattr(getattr(event, "recorder", None), "checks", {}).items():
            response = event.recorder.interactions[case_id].response
            case = event.recorder.cases[case_id].value
            answers[f"{case.method} {case.path}", response.status_code] += 1
            failures += [
                f"{check.name}: {case.as_curl_command()} -> {response.status_code} {response.text}"
                for check in checks
                if check.failure_info
            ]
    assert failures == []
    assert faults == []
    assert {"examples", "coverage", "fuzzing", "stateful"} <= phases.keys()
    assert set(phases.values()) == {"success"}
    assert not [answer for answer in answers if answer[1] >= 500]
    fuzzed = {name for name, _ in answers} & operations.keys()
    assert fuzzed == operations.keys() - {"GET /api/openapi.json"}  # where the document came from
    assert {200, 201, 204, 400, 401, 405, 415} <= {status for _, status in answers}
    assert answers["GET /api/user/", 200] >= 3
    assert bob.user().status_code == 200  # the token of all phases was valid until the end
    assert answers["POST /api/token/introspect/", 200] >= 3
