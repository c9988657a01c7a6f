"""The nginx example of docs/backend.md, in the real nginx in front of an application."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.support.callers import Tokens
from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, ROOT
from tests.support.nginx import Nginx
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

PAGE = (ROOT / "docs" / "backend.md").read_text()
SNIPPET = re.search(r"```nginx\n(.*?)```", PAGE, re.DOTALL)[1]
PLACE = "http://127.0.0.1:9000"  # of the application
FORGED = {"X-Auth-User": "1", "X-Auth-Username": "root", "X-Auth-Roles": "admin"}
FORGED |= {name.replace("-", "_"): value for name, value in FORGED.items()}


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    settings = {"kind": request.param, "RATE_LIMITS": "off", "TRUSTED_PROXIES": 1}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", workers=1, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def application():
    """An application that answers with the method, headers and body of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            echo = json.dumps([self.command, self.headers.items(), body]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(echo)))
            self.end_headers()
            self.wfile.write(echo)

        do_POST = do_GET  # noqa: N815 - named by http.server

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(scope="module")
def nginx(server, application, tmp_path_factory):
    assert PLACE in SNIPPET
    locations = SNIPPET.replace(PLACE, application)
    with Nginx(tmp_path_factory.mktemp("nginx"), server, locations=locations) as running:
        yield running


emails = (f"person{n}@example.com" for n in range(1000))


@pytest.fixture
def person(server):
    """A user with the role, and its tokens."""
    email = next(emails)
    with ApiConnection(server) as api:
        user = api.register(email).json["user"]
    roles(server, "grant", email)
    with ApiConnection(server) as api:
        return user | {"tokens": Tokens(**api.login(email).json["tokens"])}


def roles(server, command, email):
    done = flask_command(server.folder, server.env, "users", command, email, "editor")
    assert done.returncode == 0, done.stderr


def ask(nginx, access=None, method="GET", body=None, **headers):
    """Request a page of the application. Return the answer, and what the application received."""
    with ApiConnection(nginx) as api:
        answer = api.call(method, "/reports/1?role=none", body, access=access, **headers)
    assert answer.headers["X-Auth-User"] is None
    if answer.status != 200:
        return answer, None
    sent, received, said = answer.json
    assert (sent, said) == (method, json.dumps(body) if body else "")
    return answer, {name.lower().replace("_", "-"): value for name, value in received}


def identity(received):
    return [received.get(f"x-auth-{name}") for name in ("user", "username", "roles")]


@pytest.mark.parametrize("forged", [{}, FORGED], ids=["honest", "forged"])
@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", {"a": "b" * 40_000})])
def test_the_application_learns_who_it_is_from_pycoder_alone(method, body, forged, nginx, person):
    _, received = ask(nginx, person["tokens"].access, method, body, **forged)
    assert identity(received) == [str(person["id"]), person["username"], "editor"]
    assert "authorization" not in received


def test_the_application_never_sees_the_cookie_of_a_session(nginx, person):
    email, body = person["email"], {"password": PASSWORD, "transport": "cookie"}
    with ApiConnection(nginx) as api:
        answer = api.call("POST", "/api/login/", body | {"email": email})
    given = " ".join(answer.headers.get_all("Set-Cookie"))
    own, csrf = (re.search(rf"pycoder_{name}=[^;]+", given)[0] for name in ("access", "csrf"))
    for cookies, rest in (
        (f"{csrf}; theme=dark; {own}", "theme=dark; "),
        (f"{own}; {csrf}", None),
        (own, None),
        (f"theme=dark; {own}; x_pycoder_access=1", "theme=dark; x_pycoder_access=1"),
        (f"{own}; theme=dark", "theme=dark"),
        (f"theme=dark; {own}", "theme=dark; "),
    ):
        for method in ("GET", "POST"):
            _, received = ask(nginx, None, method, Cookie=cookies, **FORGED)
            assert identity(received)[1:] == [email.partition("@")[0], "editor"]
            assert received.get("cookie", "").strip() == (rest or "").strip()
    names = ("pycoder_access=x", "__Host-pycoder_access=x", "pycoder_csrf=x", "pycoder_csrf\t=x")
    for planted in names:
        for cookies in (f"{planted}; {own}; {csrf}", f"{own}; {csrf};\t{planted}"):
            assert ask(nginx, None, Cookie=cookies)[0].status == 400


def test_an_application_behind_a_proxy_is_closed_to_all_others(nginx, person, server):
    with ApiConnection(server) as api:
        stranger = api.register(next(emails)).json["tokens"]["access"]
    for access, status, code, challenge in (
        (None, 401, "token_missing", "Bearer"),
        ("x", 401, "token_invalid", 'Bearer error="invalid_token"'),
        (stranger, 403, "forbidden", 'Bearer error="insufficient_scope"'),
    ):
        for method, body in (("GET", None), ("POST", {"a": "b" * 40_000})):
            answer, received = ask(nginx, access, method, body, **FORGED)
            assert (answer.status, answer.json["code"], received) == (status, code, None)
            assert answer.headers.get_all("WWW-Authenticate") == [challenge]
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Cache-Control"] == "no-store"


def test_a_role_taken_away_closes_the_application_at_once(server, nginx, person):
    tokens = person["tokens"]
    assert ask(nginx, tokens.access)[0].status == 200
    roles(server, "revoke", person["email"])
    assert ask(nginx, tokens.access)[0].json["code"] == "token_expired"
    with ApiConnection(server) as api:
        renewed = api.refresh(tokens.refresh).json["access"]
    assert ask(nginx, renewed)[0].json["code"] == "forbidden"


@pytest.mark.parametrize("path", ["/forward-auth", "/forward-auth?role=x"])
def test_the_question_of_nginx_is_not_asked_from_outside(path, nginx, person):
    with ApiConnection(nginx) as api:
        assert api.call("GET", path, access=person["tokens"].access).status == 404


@pytest.mark.parametrize("query", ["roles=editor", "role=Editor", "role="])
def test_a_misspelt_role_closes_the_application(query, server, application, tmp_path, person):
    locations = SNIPPET.replace(PLACE, application).replace("role=editor", query)
    with Nginx(tmp_path, server, locations=locations) as nginx:
        answer, received = ask(nginx, person["tokens"].access)
    assert (answer.status, received, answer.json["code"]) == (503, None, "overloaded")


def test_without_pycoder_the_application_is_closed(application, tmp_path):
    class Away:
        port = 1

    locations = SNIPPET.replace(PLACE, application)
    with Nginx(tmp_path, Away, locations=locations) as nginx:
        answer, received = ask(nginx)
    assert (answer.status, received, answer.json["code"]) == (503, None, "overloaded")
