"""The samples of docs/backend.md: services that verify tokens, each with its real library."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from urllib.request import urlopen

import pytest
import time_machine
from authlib.oauth2 import rfc8414
from authlib.oidc.discovery import get_well_known_url as discovery_url
from jwt import InvalidTokenError, PyJWKClient, decode
from jwt.utils import base64url_encode

from pycoder.keys.ring import current_ring
from pycoder.keys.store import load_stored_keys
from tests.support.backend_samples import SNIPPETS, node
from tests.support.callers import Tokens
from tests.support.forgeries import NOW, sign_json
from tests.support.second_factors import enrol, prove
from tests.support.tokens import read

LIBRARIES = ["Python, with PyJWT", "Flask, with Flask-JWT-Extended", "Flask, with Authlib"]
NODE = "Node, with jose"
LISTS = ["Status lists in Python", "Status lists in Node"]
WANTED = 'Bearer error="insufficient_user_authentication", acr_values="aal2 phr", max_age="900"'
ROLES = ["Roles in Flask", "Roles in FastAPI", "Roles in Node"]  # see test_role_samples.py
STEP_UP = "Services that require a second factor"
SKEWS = [-5, 5]
JUDGE = """
const refused = (error) => (error instanceof InvalidToken ? null : "unavailable");
for (const token of JSON.parse(process.env.TOKENS))
  console.log(await claimsOf(token).then((claims) => claims.user_id, refused));
"""
STATUS_OF_FAILURE = """
console.log(await claimsOf(process.env.TOKEN).catch((error) => error instanceof InvalidToken));
"""
UNJUDGED = (  # without the keys, a token cannot be judged
    ".".join(
        base64url_encode(json.dumps(segment).encode()).decode()
        for segment in ({"alg": "EdDSA", "kid": "key", "typ": "at+jwt"}, {}, 0)
    )
)
JUDGE_NEW = """
for (const path of [null, "/sign-in", "/sign-in"]) {
  const token = path ? await (await fetch(issuer + path)).text() : process.env.TOKEN;
  console.log(await liveClaimsOf(token).then((claims) => claims.user_id, (error) => error.message));
}
"""
JUDGE_BY_METADATA = """
import { createRemoteJWKSet, jwtVerify } from "jose";
const { ISSUER, TOKEN } = process.env;
const answer = await fetch(`${ISSUER}/.well-known/openid-configuration`);
const { issuer, jwks_uri } = await answer.json();
const keys = createRemoteJWKSet(new URL(jwks_uri));
const { payload } = await jwtVerify(TOKEN, keys, { issuer, audience: "pycoder" });
console.log(issuer === ISSUER && payload.user_id);
"""


@pytest.fixture
def shown(app, address, ada):
    """Good and bad tokens: all but the stolen ones are signed with the very key."""
    with app.app_context():
        key = load_stored_keys()[0].decrypt()
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
        "refresh token of an access key": sign_json(header | {"typ": "rt+jwt"}, claims, key),
        "status list that poses": signed(typ="statuslist+jwt"),
        "no token type": signed(token_type=None),
        "no type": sign_json({"alg": header["alg"], "kid": header["kid"]}, claims, key),
        "for the issuer": signed(aud=claims["iss"]),
        "from the future": signed(iat=int(time()) + 60, exp=int(time()) + 3600),
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


@pytest.fixture
def service(snippet):
    """Return a function that runs a snippet, and returns who a token belongs to by it, or None."""

    def run(heading):
        defined = {"__name__": "service"}
        exec(snippet(heading), defined)  # noqa: S102 - our own document

        def user_of(token):
            if "app" in defined:
                headers = {"Authorization": f"Bearer {token}"}
                answer = defined["app"].test_client().get("/", headers=headers)
                assert answer.status_code in (200, 401)
                return answer.json["user_id"] if answer.status_code == 200 else None
            try:
                return defined["claims_of"](token)["user_id"]
            except defined["jwt"].PyJWTError:
                return None

        return user_of

    return run


each_library = pytest.mark.parametrize("heading", LIBRARIES)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc, of its older name
@each_library
def test_a_service_in_python_takes_good_access_tokens_and_nothing_else(
    heading, service, shown, ada
):
    user_of, (good, bad) = service(heading), shown
    assert user_of(good) == ada.user().json["id"]
    assert {name: user_of(token) for name, token in bad.items()} == dict.fromkeys(bad)
    assert user_of(good)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@each_library
@pytest.mark.parametrize("seconds", SKEWS)
def test_a_service_in_python_may_have_a_clock_that_is_wrong(heading, seconds, service, skew, ada):
    user_of, skew.seconds = service(heading), seconds
    access = ada.login().access
    exp = read(access)[1]["exp"]
    with time_machine.travel(time() + seconds):
        assert user_of(access) == ada.user(access).json["id"]
    with time_machine.travel(exp + 5):
        assert user_of(access)
    with time_machine.travel(exp + 11):
        assert user_of(access) is None


def test_a_service_in_node_takes_good_access_tokens_and_nothing_else(snippet, shown, ada):
    good, bad = shown
    del bad["from the future"]  # jose compares iat only with a maximum age
    said = node(snippet(NODE) + JUDGE, TOKENS=json.dumps([good, *bad.values(), good]))
    assert said[0] == said[-1] == str(ada.user().json["id"])
    assert dict(zip(bad, said[1:-1], strict=True)) == dict.fromkeys(bad, "null")


@pytest.mark.parametrize("seconds", SKEWS)
def test_a_service_in_node_may_have_a_clock_that_is_wrong(seconds, snippet, shown, ada):
    """It reads a list that was signed at the same moment, too."""
    code = snippet(NODE) + snippet(LISTS[1]) + JUDGE.replace("claimsOf", "liveClaimsOf")
    tokens = json.dumps([ada.login().access, ada.login().access])
    assert node(code, TOKENS=tokens, SKEW=str(seconds)) == [str(ada.user().json["id"])] * 2


@pytest.mark.parametrize("well_known_url", [rfc8414.get_well_known_url, discovery_url])
def test_a_verifier_in_python_finds_everything_from_the_issuers_url_alone(
    well_known_url, address, ada
):
    access = ada.login().access
    with urlopen(well_known_url(address, external=True)) as answer:
        metadata = json.load(answer)
    assert metadata["issuer"] == read(access)[1]["iss"] == address
    key = PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(access)
    assert decode(access, key, ["EdDSA"], issuer=address, audience="pycoder") == read(access)[1]


def test_a_verifier_in_node_finds_everything_from_the_issuers_url_alone(address, ada):
    access = ada.login().access
    assert node(JUDGE_BY_METADATA, TOKEN=access, ISSUER=address) == [str(ada.user().json["id"])]


@pytest.fixture(params=[None, b"<html>", b"{}"], ids=["nothing", "a page", "no keys"])
def broken(request):
    """The address of a service that answers with something else than a JWK set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if request.param is not None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(request.param)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@each_library
def test_a_service_in_python_without_keys_refuses_no_token(heading, broken):
    defined = {"__name__": "service"}
    exec(SNIPPETS[heading].replace("https://auth.example.com", broken), defined)  # noqa: S102 - our own
    if "app" in defined:
        headers = {"Authorization": f"Bearer {UNJUDGED}"}
        assert defined["app"].test_client().get("/", headers=headers).status_code == 503
        return
    away = (defined["jwt"].PyJWKClientConnectionError, defined["jwt"].PyJWKSetError, ValueError)
    with pytest.raises(away):
        defined["claims_of"](UNJUDGED)


def test_a_service_in_node_without_keys_refuses_no_token(broken):
    code = SNIPPETS[NODE].replace("https://auth.example.com", broken) + STATUS_OF_FAILURE
    assert node(code, TOKEN=UNJUDGED) == ["false"]


@pytest.fixture
def place(address, ada):
    """Return a function that signs Ada in on a device whose tokens name a place at the address."""
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


@pytest.mark.parametrize("seconds", [0, *SKEWS])
def test_a_service_in_python_accepts_who_signs_in_after_it_fetched_the_list(
    live_claims_of, place, skew, seconds
):
    first, skew.seconds = place(), seconds
    with time_machine.travel(time() + seconds):
        assert live_claims_of(first)
    for _ in range(3):
        access = place()
        with time_machine.travel(time() + seconds):
            assert live_claims_of(access) == read(access)[1]


def test_a_service_in_node_accepts_who_signs_in_after_it_fetched_the_list(snippet, place, ada):
    code = snippet(NODE) + snippet(LISTS[1]) + JUDGE_NEW
    access = place()
    assert node(code, TOKEN=access) == [str(ada.user(access).json["id"])] * 3


def strangers(app, good):
    """Return tokens that are signed with the very key, and name no list of ours."""
    claims = read(good)[1]
    listed = claims["status"]["status_list"]
    theirs = [
        {"status_list": listed | {"uri": "http://127.0.0.1:1/.well-known/status/0.jwt"}},
        {"status_list": listed | {"uri": listed["uri"].replace("status/0", "status/00")}},
        {"status_list": listed | {"uri": f"{listed['uri']}?"}},
    ]
    with app.app_context():
        without = {name: value for name, value in claims.items() if name != "status"}
        said = [without, *(claims | {"status": status} for status in theirs)]
        return [current_ring().sign(one, typ="at+jwt") for one in said]


def test_a_service_in_python_takes_a_place_only_from_lists_of_ours(app, live_claims_of, place):
    good = place()
    refused = (InvalidTokenError, InvalidTokenError, OSError, OSError)
    for token, error in zip(strangers(app, good), refused, strict=True):
        with pytest.raises(error):
            live_claims_of(token)
    assert live_claims_of(good)


def test_a_service_in_node_takes_only_sessions_that_live(app, snippet, place, ada):
    good, ended = place(), place()
    assert ada.logout(ended).status_code == 204
    tokens = json.dumps([good, ended, *strangers(app, good), good])
    code = snippet(NODE) + snippet(LISTS[1]) + JUDGE.replace("claimsOf", "liveClaimsOf")
    user_id = str(ada.user(good).json["id"])
    refused = ["null"] * 3 + ["unavailable"] * 2  # the last two name lists that are not there
    assert node(code, TOKENS=tokens) == [user_id, *refused, user_id]


def test_a_service_can_require_a_second_factor_of_the_last_minutes(app, snippet, ada):
    def pay_out(renewed=False):
        ada.tokens = Tokens(**ada.refresh().json) if renewed else ada.tokens
        headers = {"Authorization": f"Bearer {ada.tokens.access}"}
        answer = defined["app"].test_client().post("/payouts/", headers=headers)
        assert (answer.status_code == 401) == (answer.headers.get("WWW-Authenticate") == WANTED)
        return answer.status_code

    defined = {"__name__": "service"}
    exec(snippet(LIBRARIES[1]) + snippet(STEP_UP), defined)  # noqa: S102 - our own page
    with time_machine.travel(NOW, tick=False) as clock:
        ada.login()
        authenticator, _ = enrol(ada, app)
        assert (pay_out(), pay_out(renewed=True)) == (401, 200)
        clock.shift(901)
        assert (pay_out(), pay_out(renewed=True)) == (401, 401)
        assert prove(ada, code=authenticator.code())
        assert (pay_out(), pay_out(renewed=True)) == (401, 200)


def test_every_snippet_is_tried_and_pins_what_it_has_to():
    assert list(SNIPPETS) == [*LIBRARIES, NODE, STEP_UP, *LISTS, *ROLES]
    for text in (SNIPPETS[heading] for heading in (*LIBRARIES, NODE)):
        assert {"EdDSA", "token_type", "access", "pycoder", "typ", "10"} <= set(
            re.findall(r"\w+", text)
        )
        assert '"at+jwt"' in text
        assert 'ISSUER = "https://auth.example.com"' in text.replace("const issuer", "ISSUER")
