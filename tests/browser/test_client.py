"""The JavaScript client: its types, its package, and its behaviour in Node with real axios."""

import json
import re

import pytest

from tests.support import tools
from tests.support.constants import ROOT
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

CLIENT = ROOT / "pycoder" / "web" / "static" / "client"


def ok(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_client_has_at_most_300_lines_and_depends_on_nothing():
    source = (CLIENT / "auth-client.js").read_text()
    assert len(source.splitlines()) <= 300
    assert "import " not in source
    passkeys = (CLIENT / "passkeys.js").read_text()
    assert re.findall(r'^import .* from "(.+)";$', passkeys, re.MULTILINE) == ["./auth-client.js"]


def test_all_scripts_are_sound_by_their_types():
    ok(tools.node("tsc", "--project", "."))


def test_the_declarations_are_those_of_the_source(tmp_path):
    ok(tools.node("tsc", "--project", "declarations.json", "--outDir", str(tmp_path)))
    for name in ("auth-client.d.ts", "passkeys.d.ts"):
        assert (CLIENT / name).read_text() == (tmp_path / name).read_text()


def test_npm_packs_the_file_that_is_served(client, tmp_path):
    where = {"cwd": CLIENT, "env": {"npm_config_cache": str(tmp_path)}}  # not the home folder
    (packed,) = json.loads(ok(tools.node("npm", "pack", "--dry-run", "--json", **where)))
    names = {file["path"] for file in packed["files"]}
    modules = {f"{name}.{kind}" for name in ("auth-client", "passkeys") for kind in ("js", "d.ts")}
    assert names == modules | {"README.md", "package.json"}
    with client.get("/static/client/auth-client.js") as served:
        assert served.data == (CLIENT / "auth-client.js").read_bytes()
        assert served.mimetype == "text/javascript"


def test_the_client_in_node_and_with_axios(tmp_path):
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "RATE_LIMITS": "off"}
    with Server(tmp_path, f"sqlite:///{tmp_path / 'pycoder.db'}", **settings) as server:
        done = tools.node("--test", "client.test.js", env={"SERVER": server.url})
    assert "\n# fail 0\n" in ok(done)
