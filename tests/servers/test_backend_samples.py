"""The samples of docs/backend.md: services that verify tokens, each with its real library."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time

import pytest
import time_machine
from jwt import InvalidTokenError
from jwt.utils import base64url_encode

from pycoder.keys.ring import current_ring
from pycoder.tokens import status_list
from pycoder.tokens.claims import ISSUER
from tests.support import tools
from tests.support.constants import ROOT
from tests.support.forgeries import NOW
from tests.support.tokens import read

SECTIONS = (ROOT / "docs" / "backend.md").read_text().split("\n## ")
SNIPPETS = {
    section.partition("\n")[0]: found[1]
    for section in SECTIONS
    if (found := re.search(r"```(?:python|js)\n(.*?)```", section, re.DOTALL))
}
LIBRARIES = ["Python, with PyJWT", "Flask, with Flask-JWT-Extended", "Flask, with Authlib"]
NODE = "Node, with jose"
LISTS = ["Status lists in Python", "Status lists in Node"]
JUDGE = """
for (const token of JSON.parse(process.env.TOKENS))
  console.log(await claimsOf(token).then((claims) => claims.user_id, () => null));
"""


@pytest.fixture
def address(app):
    """Serve the JWK set of the application on a port of its own; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = app.test_client().get(self.path)
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def snippet(address):
    """Return a function that returns a snippet by its heading, with the address of the service."""
    return lambda heading: SNIPPETS[heading].replace("https://auth.example.com", address)


@pytest.fixture
def shown(app, ada):
    """Good and bad tokens: all but the stolen ones are signed with the very key."""
    good = ada.tokens.access
    header, claims = read(good)
    text, _, signature = good.rpartition(".")

    def signed(typ="at+jwt", **changes):
        said = {name: value for name, value in (claims | changes).items() if value is not None}
        with app.app_context():
            return current_ring().sign(said, typ=typ)

    def headed(**changes):
        segment = base64url_encode(json.dumps(header | changes).encode()).decode()
        return f"{segment}.{good.partition('.')[2]}"

    bad = {
        "refresh token": ada.tokens.refresh,
        "refresh token that poses": signed(token_type="refresh"),
        "no token type": signed(token_type=None),
        "of another issuer": signed(iss="pycoder2"),
        "for another audience": signed(aud="others"),
        "no issuer": signed(iss=None),
        "no audience": signed(aud=None),
        "expired": signed(iat=int(time()) - 7200, exp=int(time()) - 3600),
        "no expiry": signed(exp=None),
        "another signature": f"{text}.{'A' * len(signature)}",
        "no signature": f"{headed(alg='none').rpartition('.')[0]}.",
        "another algorithm": headed(alg="HS256"),
        "unknown key": headed(kid="unknown"),
        "other claims": ".".join([text.split(".")[0], text.split(".")[1][:-4] + "AAAA", signature]),
        "no token": "x",
    }
    return good, bad


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc, of its older name
@pytest.mark.parametrize("heading", LIBRARIES)
def test_a_service_in_python_takes_good_access_tokens_and_nothing_else(
    heading, snippet, shown, ada
):
    good, bad = shown
    defined = {"__name__": "service"}
    exec(snippet(heading), defined)  # noqa: S102 - our own document

    def user_of(token):
        if "app" in defined:
            headers = {"Authorization": f"Bearer {token}"}
            answer = defined["app"].test_client().get("/", headers=headers)
            assert answer.status_code in (200, 401, 422)
            return answer.json["user_id"] if answer.status_code == 200 else None
        try:
            return defined["claims_of"](token)["user_id"]
        except defined["jwt"].PyJWTError:
            return None

    assert user_of(good) == ada.user().json["id"]
    assert {name: user_of(token) for name, token in bad.items()} == dict.fromkeys(bad)
    assert user_of(good)


def test_a_service_in_node_takes_good_access_tokens_and_nothing_else(snippet, shown, ada):
    good, bad = shown
    sent = {"TOKENS": json.dumps([good, *bad.values(), good])}
    done = tools.node("--input-type=module", "-e", snippet(NODE) + JUDGE, env=sent)
    said = done.stdout.split()
    assert said[0] == said[-1] == str(ada.user().json["id"]), done.stderr
    assert dict(zip(bad, said[1:-1], strict=True)) == dict.fromkeys(bad, "null")


@pytest.fixture
def place(app, address, setting, ada):
    """Return a function that signs Ada in on a device whose tokens name a place at the address."""
    setting("PUBLIC_URL", address)
    status_list._build_token.cache_clear()
    return lambda: ada.login().access


@pytest.fixture
def live_claims_of(snippet):
    """The function of that name in the snippet for Python, which stands below the one for PyJWT."""
    defined = {"__name__": "service"}
    exec(snippet(LIBRARIES[0]) + snippet(LISTS[0]), defined)  # noqa: S102 - our own page
    return defined["live_claims_of"]


def test_a_service_in_python_refuses_a_session_within_a_minute_after_its_end(
    live_claims_of, place, ada
):
    with time_machine.travel(NOW, tick=False) as clock:
        ending, other = place(), place()
        assert live_claims_of(ending) == read(ending)[1]
        assert ada.logout(ending).status_code == 204
        clock.shift(55)
        with pytest.raises(InvalidTokenError, match="the session is over"):
            live_claims_of(ending)
        assert live_claims_of(other) == read(other)[1]


def strangers(app, good):
    """Return tokens that are signed with the very key, and name no list of ours."""
    claims = read(good)[1]
    listed = claims["status"]["status_list"]
    theirs = [
        {"status_list": listed | {"uri": "http://127.0.0.1:1/.well-known/status/0.jwt"}},
        {"status_list": listed | {"uri": listed["uri"].replace("status/0", "status/00")}},
    ]
    with app.app_context():
        without = {name: value for name, value in claims.items() if name != "status"}
        said = [without, *(claims | {"status": status} for status in theirs)]
        return [current_ring().sign(one, typ="at+jwt") for one in said]


def test_a_service_in_python_takes_a_place_only_from_lists_of_ours(app, live_claims_of, place):
    good = place()
    for token in strangers(app, good):
        with pytest.raises(InvalidTokenError):
            live_claims_of(token)
    assert live_claims_of(good)


def test_a_service_in_node_takes_only_sessions_that_live(app, snippet, place, ada):
    good, ended = place(), place()
    assert ada.logout(ended).status_code == 204
    sent = {"TOKENS": json.dumps([good, ended, *strangers(app, good), good])}
    code = snippet(NODE) + snippet(LISTS[1]) + JUDGE.replace("claimsOf", "liveClaimsOf")
    done = tools.node("--input-type=module", "-e", code, env=sent)
    user_id = str(ada.user(good).json["id"])
    assert done.stdout.split() == [user_id, "null", "null", "null", "null", user_id], done.stderr


def test_every_snippet_is_tried_and_pins_what_it_has_to():
    assert list(SNIPPETS) == [*LIBRARIES, NODE, *LISTS]
    for text in (SNIPPETS[heading] for heading in (*LIBRARIES, NODE)):
        assert {"EdDSA", "token_type", ISSUER, "access"} <= set(re.findall(r"\w+", text))
