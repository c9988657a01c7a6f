"""The documents that verifiers read: metadata, JWK set and status lists, from any origin."""

import pytest

from tests.support.application import application
from tests.support.parameters import on_sqlite
from tests.support.tokens import read

pytestmark = on_sqlite

OAUTH, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
DOCUMENTS = [OAUTH, OPENID, "/.well-known/jwks.json", "/.well-known/status/0.jwt"]
ANYWHERE = {"Origin": "https://shop.example"}


@pytest.mark.parametrize("path", [OAUTH, OPENID])
def test_the_metadata_name_the_issuer_and_what_there_is(client, setting, path):
    setting("PUBLIC_URL", "https://auth.pycoder.dev")
    setting("JWT_ISSUER", "https://pycoder.dev")
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == {
        "issuer": "https://pycoder.dev",
        "jwks_uri": "https://auth.pycoder.dev/.well-known/jwks.json",
        "introspection_endpoint": "https://auth.pycoder.dev/api/token/introspect/",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "revocation_endpoint": "https://auth.pycoder.dev/api/token/revoke/",
        "revocation_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": [],
        "grant_types_supported": [],
    }


def test_the_metadata_lead_from_a_token_to_its_key(ada):
    header, claims = read(ada.tokens.access)
    metadata = ada.client.get(OAUTH).json
    assert metadata["issuer"] == claims["iss"]
    keys = ada.client.get(metadata["jwks_uri"].removeprefix("http://localhost:8000")).json["keys"]
    assert header["kid"] in [key["kid"] for key in keys]
    revoked = ada.client.post(
        metadata["revocation_endpoint"].removeprefix("http://localhost:8000"),
        data={"token": ada.tokens.access},
    )
    assert revoked.status_code == 200
    assert ada.user().json["code"] == "token_revoked"


@pytest.mark.parametrize("path", [OAUTH, OPENID])
def test_the_metadata_may_be_kept_and_asked_for_again_by_their_etag(client, path):
    answer = client.get(path)
    assert answer.headers["Cache-Control"] == "public, max-age=600"
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"


@pytest.fixture(
    scope="module", params=["", "https://app.pycoder.dev"], ids=["no origins", "one origin"]
)
def anywhere(request, migrated_app, tmp_path_factory):
    """A client of an application that lists other origins, or none."""
    settings = {"DATABASE_URL": migrated_app.config["DATABASE_URL"], "CORS_ORIGINS": request.param}
    with application(tmp_path_factory.mktemp("anywhere"), **settings) as app:
        yield app.test_client()


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("headers", [ANYWHERE, {}, {"Origin": "null"}], ids=["one", "none", "null"])
def test_every_origin_may_read_a_document_without_credentials(anywhere, path, headers):
    answer = anywhere.get(path, headers=headers)
    assert answer.status_code == 200
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers.getlist("Vary") == []  # one response for all caches


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_preflight_of_a_document_allows_to_read_it_and_nothing_else(anywhere, path):
    asked = {"Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "if-none-match, traceparent"
    answer = anywhere.options(path, headers=ANYWHERE | asked)
    assert answer.status_code == 200
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert answer.headers["Access-Control-Allow-Headers"] == "if-none-match, traceparent"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = anywhere.options(path, headers=ANYWHERE | {"Access-Control-Request-Method": "POST"})
    assert "Access-Control-Allow-Methods" not in refused.headers


@pytest.mark.parametrize("path", ["/api/user/", "/api/token/introspect/", "/api/openapi.json"])
def test_no_other_path_is_open_to_every_origin(anywhere, path):
    answer = anywhere.get(path, headers=ANYWHERE)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_document_that_is_not_there_may_be_read_as_such(client):
    answer = client.get("/.well-known/status/99.jwt", headers=ANYWHERE)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (404, "*")
