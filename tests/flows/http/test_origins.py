"""Cross-origin requests (CORS)."""

import pytest

from config import DevelopmentConfig, Setting, TestingConfig
from pycoder import create_app
from tests.support.constants import SECRET_KEY
from tests.support.parameters import table

# What crosses the wire does so before the database is asked, so one kind of it is enough.
pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]


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
        headers["Access-Control-Request-Headers"] = "authorization,content-type,traceparent,x-other"
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


@pytest.mark.parametrize(
    ("origin", "other"),
    [("capacitor://localhost", "https://localhost"), ("http://[::1]:5173", "http://:5173")],
)
def test_an_app_and_an_ipv6_host_can_be_listed(origin, other, new_app):
    client = new_app(CORS_ORIGINS=origin).test_client()
    assert allowed(cross(client, origin))["Access-Control-Allow-Origin"] == [origin]
    assert allowed(cross(client, other)) == {}


@pytest.mark.parametrize("path", ["/api/login/", "/api/login", "/api/user/", "/api/user"])
def test_a_preflight_of_a_listed_origin_is_answered(path, elsewhere):
    response = cross(elsewhere, HOME, "OPTIONS", path)
    headers = response.headers
    assert response.status_code in (200, 204)
    assert response.data == b""
    assert headers["Access-Control-Allow-Origin"] == HOME
    assert headers["Access-Control-Allow-Credentials"] == "true"
    asked = {"authorization", "content-type", "traceparent", "x-other"}
    assert set(headers["Access-Control-Allow-Headers"].split(", ")) == asked
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
    for path in ("/api/user/", "/api/login", "/api/nothing/", "/api/openapi.json"):
        response = cross(elsewhere, origin, method, path)
        assert response.headers.getlist("Vary") == ["Origin"], path


class Listed(TestingConfig):
    """Origins as a browser does not spell them."""

    CORS_ORIGINS = Setting(list, ["http://[::1]:5173", "HTTPS://App.pycoder.dev:443"])


def test_an_origin_is_compared_as_a_browser_sends_it(tmp_path):
    app = create_app(Listed({"SECRET_KEY": SECRET_KEY}, tmp_path))
    client = app.test_client(use_cookies=False)
    for origin in ("http://[::1]:5173", HOME):
        assert cross(client, origin).headers["Access-Control-Allow-Origin"] == origin
    for origin in ("http://1:5173", "http://::5173", "http://[::1]", f"{HOME}:444", f"{HOME}."):
        assert allowed(cross(client, origin)) == {}


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
    "origin",
    [
        *("http://localhost", "http://localhost:5173", "http://127.0.0.1:3000"),
        *("https://localhost", "https://localhost:5173", "http://[::1]:5173"),
    ],
)
def test_development_allows_localhost_on_any_port(origin, at_home):
    assert cross(at_home, origin).headers["Access-Control-Allow-Origin"] == origin


NOT_LOCALHOST = {
    "suffix": "http://localhost.evil.example",
    "suffix of a port": "http://localhost:3000.evil.example",
    "suffix of an address": "http://127.0.0.1.evil.example",
    "user info": "http://localhost:80@evil.example",
    "dots for any letter": "http://127x0x0x1",
    "another scheme": "ftp://localhost",
    "suffix of an IPv6 address": "http://[::1]:5173.evil.example",
    "prefix": "http://evil-localhost",
    "null": "null",
}


@table(NOT_LOCALHOST)
def test_development_allows_nobody_else(case, at_home):
    assert allowed(cross(at_home, case)) == {}
    assert allowed(cross(at_home, case, "OPTIONS")) == {}
