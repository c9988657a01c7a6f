"""The samples of docs/frontend.md, file by file, in a real browser."""

import functools
import http.server
import json
import re
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest

from tests.support import tools
from tests.support.clocks import until_expired
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, ROOT
from tests.support.ports import free_port
from tests.support.second_factors import Authenticator
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

PAGE = (ROOT / "docs" / "frontend.md").read_text()
FILES = dict(
    re.findall(r"^\*\*`([\w.]+)`\*\*\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
)
CLIENT = ROOT / "pycoder" / "web" / "static" / "client"
SHARED = {"auth.js", "api.js"}
SIGN_INS = ("signIn.js", "signIn.axios.js")
APPS = {
    "plain": {"index.html"},
    "react": {"useUser.js", "App.jsx", "main.jsx"},
    "vue": {"App.vue", "main.js"},
}
SHELL = (
    '<!doctype html><html lang="en"><div id="{}"></div><script type="module" src="/{}"></script>'
)
VITE = """import vue from "@vitejs/plugin-vue";
export default { plugins: [vue()], logLevel: "error", build: { minify: false } };
"""


@pytest.fixture(scope="module")
def port():
    """The port of the frontend, which is another origin than the server."""
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory, port):
    folder = tmp_path_factory.mktemp("api")
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "RATE_LIMITS": "off"}
    settings["CORS_ORIGINS"] = f"http://localhost:{port}"
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


@pytest.fixture
def project(tmp_path, server):
    """Return a function that writes files of the page, and the client, into a folder."""

    def write(names, by_cookie=False):
        url = server.url.replace("127.0.0.1", "localhost") if by_cookie else server.url
        for name in names:
            text = FILES["auth.cookie.js" if by_cookie and name == "auth.js" else name]
            (tmp_path / name).write_text(text.replace("http://localhost:8000", url))
        for module in ("auth-client.js", "passkeys.js"):
            shutil.copy(CLIENT / module, tmp_path)
        (tmp_path / "node_modules").symlink_to(tools.JS / "node_modules")
        return tmp_path

    return write


@pytest.fixture
def serve(port):
    """Return a function that serves a folder as the frontend."""
    running = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        running.append(http.server.ThreadingHTTPServer(("127.0.0.1", port), handler))
        threading.Thread(target=running[0].serve_forever).start()
        return f"http://localhost:{port}"

    yield start
    for httpd in running:
        httpd.shutdown()
        httpd.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Do not log requests."""


def built(folder):
    """Build the application that starts with ``main.…``, as Vite's own templates have it."""
    (main,) = folder.glob("main.*")
    (folder / "index.html").write_text(
        SHELL.format("app" if (folder / "App.vue").exists() else "root", main.name)
    )
    (folder / "vite.config.js").write_text(VITE)
    done = tools.node("node_modules/vite/bin/vite.js", "build", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


def test_every_file_of_the_page_is_run_by_a_test():
    others = {"interceptor.js", "auth.cookie.js", "passkey.js", *SIGN_INS}
    assert set(FILES) == SHARED.union(*APPS.values(), others)


@pytest.mark.parametrize("case", [*APPS, "vue by cookie"])
def test_an_application_signs_in_calls_after_expiry_and_signs_out(
    case, project, serve, server, browser
):
    app, by_cookie = case.split()[0], case.endswith("by cookie")
    folder = project(SHARED | APPS[app], by_cookie)
    address = serve(folder if app == "plain" else built(folder))
    email = f"{case.replace(' ', '.')}@example.com"
    with ApiConnection(server) as api:
        assert api.register(email).status == 201
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        page.get_by_label("E-mail address").fill(email)
        for password in ("not the password", PASSWORD):
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in", exact=True).click()
            shown = "Wrong e-mail" if password != PASSWORD else f"Signed in as {email}"
            page.get_by_text(shown).wait_for()
        kept = {cookie["name"] for cookie in context.cookies()} - {"device"}
        assert kept == (
            {"pycoder_access", "pycoder_refresh", "pycoder_csrf"} if by_cookie else set()
        )
        until_expired()
        page.get_by_role("button", name="What happened?").click()
        page.get_by_text("3 events").wait_for()
        page.reload()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in", exact=True).wait_for()


def test_the_second_step_is_sent_with_the_client_and_with_axios(project, server):
    folder = project(["auth.js", "passkey.js", *SIGN_INS])
    (folder / "package.json").write_text('{"type": "module"}')
    credentials = {"email": "factor@example.com", "password": PASSWORD}
    with ApiConnection(server) as api:
        access = api.register(credentials["email"]).json["tokens"]["access"]
        with closing(sqlite3.connect(server.folder / "pycoder.db")) as database, database:
            database.execute("UPDATE users SET email_verified = 1")
        setup = api.call("POST", "/api/factors/totp/", {"password": PASSWORD}, access).json
        code = {"code": Authenticator(setup["secret"]).code()}
        codes = api.call("POST", "/api/factors/totp/confirm/", code, access).json["recovery_codes"]
    (folder / "run.js").write_text(
        f"""const codes = {json.dumps(codes)};
        const ask = async (methods) => {{
          console.log(methods.join());
          return {{ recovery_code: codes.pop() }};
        }};
        for (const file of {json.dumps(SIGN_INS)}) {{
          const {{ signIn }} = await import(`./${{file}}`);
          const result = await signIn({json.dumps(credentials)}, ask);
          console.log((result.user ?? result).email);
          await signIn({{ email: "factor@example.com", password: "wrong" }}, ask).catch((error) =>
            console.log(error.code === "ERR_BAD_REQUEST" ? error.response.data.code : error.code));
        }}
        const {{ offerPasskeys, passkeys }} = await import("./passkey.js");
        await offerPasskeys();
        console.log(passkeys.isSupported());
        """
    )
    done = tools.node("run.js", cwd=folder)
    each = ["totp,recovery_code", "factor@example.com", "invalid_credentials"]
    assert done.stdout.splitlines() == [*each, *each, "false"], done.stderr


def test_the_interceptor_refreshes_twice_and_repeats_a_call_once(project, server):
    folder = project(["interceptor.js"])
    (folder / "package.json").write_text('{"type": "module"}')
    with ApiConnection(server) as api:
        tokens = api.register("seed@example.com").json["tokens"]
    (folder / "run.js").write_text(
        f"""import {{ setTimeout as sleep }} from "node:timers/promises";
        const kept = new Map({[[f"{kind}_token", token] for kind, token in tokens.items()]});
        globalThis.localStorage = {{
          getItem: (name) => kept.get(name), setItem: (name, value) => kept.set(name, value) }};
        const {{ axiosClient }} = await import("./interceptor.js");
        for (const _ of [1, 2]) {{
          const claims = kept.get("access_token").split(".")[1];
          const {{ exp }} = JSON.parse(Buffer.from(claims, "base64url"));
          while (Date.now() < exp * 1000) await sleep(50);
          console.log((await axiosClient.get("/api/user/")).data.email);
        }}
        await axiosClient.get("/api/nothing/").catch((error) => console.log(error.response.status));
        let calls = 0;
        axiosClient.interceptors.request.use((config) => (++calls > 9 ? process.exit(1) : config));
        const refused = (error) => console.log(error.response.data.code, calls);
        await axiosClient.delete("/api/user/", {{ data: {{}} }}).catch(refused);
        localStorage.getItem = (name) => (name === "access_token" ? "x.y.z" : kept.get(name));
        await axiosClient.get("/api/user/").catch(refused);
        """
    )
    done = tools.node("run.js", cwd=folder)
    shown = ["seed@example.com"] * 2 + ["404"]
    shown += ["insufficient_user_authentication 1", "token_invalid 3"]
    assert done.stdout.splitlines() == shown, done.stderr
