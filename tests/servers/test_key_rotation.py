"""The rotation of keys under load: several workers, and a service that caches the keys."""

import contextlib
import json
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import tools
from tests.support.callers import Tokens
from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.keys import kid_of
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

LIFETIMES = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "JWT_REFRESH_TOKEN_EXPIRES": 60}
VERIFIER = """
import { createInterface } from "node:readline";
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
const caching = { cacheMaxAge: 2000, cooldownDuration: 600_000 }; // an unknown kid fetches nothing
const keys = createRemoteJWKSet(new URL(process.env.JWKS), caching);
const pinned = { algorithms: ["EdDSA"], issuer: process.env.ISSUER, audience: "pycoder" };
const verified = {}, refused = [];
for await (const token of createInterface({ input: process.stdin })) {
  const { kid } = decodeProtectedHeader(token);
  await jwtVerify(token, keys, { ...pinned, clockTolerance: 60 }).then(
    () => { verified[kid] = (verified[kid] ?? 0) + 1; },
    (error) => refused.push(`${kid}: ${error.code}`),
  );
}
console.log(JSON.stringify({ verified, refused }));
"""


@pytest.fixture(scope="module")
def server(new_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotation")
    settings = {"workers": 3, "RATE_LIMITS": "off", **LIFETIMES}
    with Server(folder, new_database(), **settings) as running:
        yield running


def keys_command(server, *words):
    """Run ``flask keys …``, which must work; return the objects that it prints."""
    done = flask_command(server.folder, server.env, "keys", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def verifying(server):
    """Run a service that verifies what is handed to it; yield how to, and what it says at last."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # what does not fit is not verified, and holds up nobody
    said = {}

    def hand_over(token):
        with contextlib.suppress(BlockingIOError):
            os.write(writer, f"{token}\n".encode())

    with ThreadPoolExecutor(1) as pool:
        env = {
            "JWKS": f"{server.url}/.well-known/jwks.json",
            "ISSUER": f"http://localhost:{server.port}",
        }
        words = ("--input-type=module", "-e", VERIFIER)
        done = pool.submit(tools.node, *words, env=env, stdin=reader)
        try:
            yield hand_over, said
        finally:
            os.close(writer)
            said |= json.loads(done.result().stdout or json.dumps(done.result().stderr))
            os.close(reader)


def live(server, email, over, hand_over):
    """Refresh, and ask with the new token and the one before; return kids seen and refusals."""
    seen, refused = Counter(), []
    with ApiConnection(server) as api:
        tokens = Tokens(**api.register(email).json["tokens"])
        while not (over.is_set() or refused):
            before, answer = tokens.access, api.refresh(tokens.refresh)
            tokens = Tokens(**answer.json) if answer.status == 200 else tokens
            answers = [answer, api.user(before), api.user(tokens.access)]
            refused += [answer.text for answer in answers if answer.status != 200]
            seen[kid_of(tokens.access)] += 1
            hand_over(tokens.access)
        return kid_of(tokens.access), seen, refused


def test_a_rotation_under_load_refuses_nobody(server):
    over = threading.Event()
    with verifying(server) as (hand_over, said), ThreadPoolExecutor(4) as pool:
        lives = [
            pool.submit(live, server, f"person{n}@example.com", over, hand_over) for n in range(4)
        ]
        try:
            steps = keys_command(server, "drill", "--url", server.url)
        finally:
            over.set()
        outcomes = [life.result() for life in lives]
    made = steps[0]["made"]
    assert (steps[-1]["passed"], steps[-1]["refused"]) == (True, [])
    for last, seen, refused in outcomes:
        assert refused == []
        assert last == made
        assert len(seen) == 2
    [old] = set(seen) - {made}
    assert said["refused"] == []
    assert said["verified"].keys() == {old, made}
    new, before = keys_command(server, "list")
    assert (new["kid"], new["state"]) == (made, "signs")
    assert (before["kid"], before["state"]) == (old, "verifies")


def published(server):
    with ApiConnection(server) as api:
        return [jwk["kid"] for jwk in api.call("GET", "/.well-known/jwks.json").json["keys"]]


def test_all_workers_share_the_keys_also_after_a_restart(server):
    with ApiConnection(server) as api:
        refresh = api.register("restart@example.com").json["tokens"]["refresh"]
    before = published(server)
    for _ in range(2):
        for _ in range(100):
            with ApiConnection(server) as api:
                assert api.verify(refresh).status == 200
        server.stop()
        server.start()
    assert published(server) == before


def test_a_key_that_is_retired_is_gone_from_all_workers_when_the_command_returns(server):
    with ApiConnection(server) as api:
        tokens = Tokens(**api.register("thief@example.com").json["tokens"])
        kid = kid_of(tokens.access)
        [done] = keys_command(server, "retire", kid)
        assert done["sessions_ended"] >= 1
    for _ in range(20):
        with ApiConnection(server) as api:
            assert api.verify(tokens.refresh).json["code"] == "token_invalid"
        assert kid not in published(server)
    with ApiConnection(server) as api:
        assert kid_of(api.login("thief@example.com").json["tokens"]["access"]) != kid
