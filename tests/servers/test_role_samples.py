"""The samples of docs/backend.md that require roles, each with its real library."""

import json
import re
import sys
from types import ModuleType

import pytest
import time_machine

from tests.support import asgi, tools
from tests.support.backend_samples import SKEW_OF_NODE, SNIPPETS
from tests.support.callers import Tokens
from tests.support.forgeries import NOW
from tests.support.second_factors import enrol

PYTHON = ["Python, with PyJWT", "Status lists in Python"]
NODE = ["Node, with jose", "Status lists in Node"]
FRAMEWORKS = ["Roles in Flask", "Roles in FastAPI"]
FILES = [PYTHON, NODE, *([heading] for heading in [*FRAMEWORKS, "Roles in Node"])]
INVALID = (401, 'Bearer error="invalid_token"')
WITHOUT_ROLE = (403, 'Bearer error="insufficient_scope"')
ONE_FACTOR = (401, 'Bearer error="insufficient_user_authentication", acr_values="aal2 phr"')
SERVE = """
import { createServer } from "node:http";
const { roleRequired } = await import("./roles.mjs");
const rules = { GET: roleRequired("editor"), DELETE: roleRequired("editor", "aal2", "phr") };
const server = createServer((request, response) =>
  rules[request.method](request, response, () => response.end(`${request.claims.user_id}`)),
);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/`;
const act = async (name) => (await fetch(`${process.env.ISSUER}/${name}`)).text();
async function say(authorization, method = "GET") {
  const headers = authorization ? { authorization } : {};
  const answer = await fetch(url, { method, headers });
  const said = [answer.status, answer.headers.get("WWW-Authenticate"), await answer.text()];
  console.log(JSON.stringify(said));
}
"""


@pytest.fixture
def editor(ada, flask):
    """Ada, with the role."""
    assert flask("users", "grant", "ada", "editor").exit_code == 0
    return ada


@pytest.fixture(params=FRAMEWORKS)
def ask(request, snippet, monkeypatch):
    """Return a function that calls a sample, and returns the status and the challenge."""
    module = ModuleType("access_tokens")
    exec("".join(map(snippet, PYTHON)), vars(module))  # noqa: S102 - our own document
    monkeypatch.setitem(sys.modules, "access_tokens", module)
    defined = {"__name__": "service"}
    exec(snippet(request.param), defined)  # noqa: S102 - our own document
    app = defined["app"]

    def call(authorization, method="GET"):
        headers = {"Authorization": authorization} if authorization else {}
        if hasattr(app, "test_client"):
            answer = app.test_client().open("/articles/", method=method, headers=headers)
        else:
            answer = asgi.call(app, method, "/articles/", **headers)
        return answer.status_code, answer.headers.get("www-authenticate")

    return call


def bearer(caller):
    return f"Bearer {caller.tokens.access}"


def renewed(caller):
    caller.tokens = Tokens(**caller.refresh().json)
    return bearer(caller)


def test_a_sample_answers_as_rfc_6750_says(ask, editor, bob):
    editor.login()
    for authorization in (None, "Basic YTpi"):
        assert ask(authorization) == (401, "Bearer")
    for token in ("x", "x.y.z", editor.tokens.refresh):
        assert ask(f"Bearer {token}") == INVALID
    assert ask("Bearer ")[0] == 401
    assert ask(bearer(bob)) == WITHOUT_ROLE
    for scheme in ("Bearer", "bearer"):
        assert ask(f"{scheme} {editor.tokens.access}") == (200, None)


def test_a_role_taken_away_is_refused_within_a_minute_and_nobody_is_signed_out(
    ask, editor, bob, flask
):
    with time_machine.travel(NOW, tick=False) as clock:
        former, other = f"Bearer {editor.login().access}", f"Bearer {bob.login().access}"
        assert (ask(former), ask(other)) == ((200, None), WITHOUT_ROLE)
        clock.shift(1)
        assert flask("users", "revoke", "ada", "editor").exit_code == 0
        assert flask("users", "grant", "bob", "editor").exit_code == 0
        clock.shift(55)
        assert (ask(former), ask(other)) == (INVALID, INVALID)
        assert (ask(renewed(editor)), ask(renewed(bob))) == (WITHOUT_ROLE, (200, None))


def test_a_sample_can_require_a_second_factor(ask, editor, app):
    with time_machine.travel(NOW, tick=False):
        editor.login()
        assert ask(bearer(editor)) == (200, None)
        assert ask(bearer(editor), "DELETE") == ONE_FACTOR
        enrol(editor, app)
        assert ask(renewed(editor), "DELETE") == (200, None)


def test_a_sample_without_pycoder_refuses_no_token(ask, editor):
    access = editor.login().access
    sys.modules["access_tokens"].KEYS.uri = "http://127.0.0.1:1/"
    assert ask(f"Bearer {access}")[0] == 503


@pytest.fixture
def node(snippet, address, tmp_path):
    """Return a function that runs the sample of Node, and returns what it answered."""
    (tmp_path / "access-tokens.mjs").write_text("".join(map(snippet, NODE)))
    (tmp_path / "roles.mjs").write_text(snippet("Roles in Node"))
    (tmp_path / "node_modules").symlink_to(tools.JS / "node_modules")

    def run(steps, **env):
        code = SKEW_OF_NODE + SERVE + steps + "server.close();"
        words = ("--input-type=module", "-e", code)
        done = tools.node(*words, cwd=tmp_path, env={"ISSUER": address, **env})
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    return run


def test_the_sample_of_node_answers_as_rfc_6750_says(node, editor, bob, app):
    editor.login()
    one = editor.tokens.access
    enrol(editor, app)
    tokens = {"ONE": one, "TWO": renewed(editor).removeprefix("Bearer "), "BOB": bob.tokens.access}
    said = node(
        """
        const { ONE, TWO, BOB } = process.env;
        for (const sent of [null, "Basic YTpi", "Bearer x", `Bearer ${BOB}`]) await say(sent);
        await say(`bearer ${ONE}`);
        for (const token of [ONE, TWO]) await say(`Bearer ${token}`, "DELETE");
        """,
        **tokens,
    )
    user_id = str(editor.user().json["id"])
    assert [tuple(answer[:2]) for answer in said[:4]] == [
        (401, "Bearer"),
        (401, "Bearer"),
        INVALID,
        WITHOUT_ROLE,
    ]
    assert said[4] == (200, None, user_id)
    assert said[5][:2] == ONE_FACTOR
    assert said[6] == (200, None, user_id)


def test_the_sample_of_node_refuses_a_role_within_a_minute_and_nobody_is_signed_out(
    node, acts, skew, editor, flask
):
    def revoke():
        assert flask("users", "revoke", "ada", "editor").exit_code == 0
        skew.seconds = -56  # from now on
        return ""

    editor.login()
    acts |= {"/revoke": revoke, "/renew": lambda: editor.refresh().json["access"]}
    said = node(
        """
        await say(`Bearer ${process.env.TOKEN}`);
        await act("revoke");
        process.env.SKEW = "56";
        await say(`Bearer ${process.env.TOKEN}`);
        await say(`Bearer ${await act("renew")}`);
        """,
        TOKEN=editor.tokens.access,
    )
    assert [answer[:2] for answer in said] == [(200, None), INVALID, WITHOUT_ROLE]


def test_the_sample_of_node_without_pycoder_refuses_no_token(node, editor, tmp_path):
    file = tmp_path / "access-tokens.mjs"
    away = re.sub(r"(const issuer = ).*;", r'\1"http://127.0.0.1:1";', file.read_text())
    file.write_text(away)
    said = node("await say(`Bearer ${process.env.TOKEN}`);", TOKEN=editor.login().access)
    assert said == [(503, None, "")]


@pytest.mark.parametrize("files", FILES)
def test_a_file_of_a_service_has_at_most_60_lines(files):
    assert sum(SNIPPETS[heading].count("\n") for heading in files) <= 60
