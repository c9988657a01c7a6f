"""Tokens of real versions of django-simplejwt, in all its settings that matter."""

import json
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pycoder.clock import now
from tests.support.keys import code
from tests.support.parameters import on_sqlite
from tests.support.simplejwt import (
    KEY,
    VERSIONS,
    earlier_token,
    import_list,
    options,
    output,
    platform,
    start,
)
from tests.support.tokens import claims_of

pytestmark = [on_sqlite, pytest.mark.untraced]  # the platforms are other processes
PRIVATE = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}
SECRET = KEY + KEY[:14]  # as long as HS512 wants it
OTHERS = {"uuid": "c0ffee00-0000-4000-8000-000000000000", "address": "person501@example.com"}
CHOICES = [(version, True, True) for version in VERSIONS]  # with rotation, with the blacklist
CHOICES += [("5.2.2", False, False), ("5.5.1", False, True), ("5.5.1", True, False)]
PLATFORMS = {
    f"{version}{' rotation' * rotation}{' blacklist' * blacklist}": (version, rotation, blacklist)
    for version, rotation, blacklist in CHOICES
}
LISTED = {name: choice for name, choice in PLATFORMS.items() if choice[2]}


def pem(private):
    form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    return private.private_bytes(*form).decode()


def public_pem(private):
    form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(*form).decode()


@pytest.fixture(scope="module")
def platforms(tmp_path_factory):
    """Return what each platform has issued to its first user."""
    keys = {name: (name, pem(private)) for name, private in PRIVATE.items()}
    keys["HS512"] = ("HS512", SECRET)

    def issue(choice):
        version, rotation, blacklist = choice
        choices = options(rotation=rotation, blacklist=blacklist, ids_of_others=OTHERS, keys=keys)
        folder = tmp_path_factory.mktemp("platform")
        return json.loads(output(platform(version, "issue", choices, folder)))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PLATFORMS, pool.map(issue, PLATFORMS.values()), strict=True))


@pytest.fixture(params=PLATFORMS)
def issued(request, platforms):
    return platforms[request.param]


@pytest.fixture
def listed(request, platforms):
    return platforms[request.param]


@pytest.fixture(autouse=True)
def person(app, flask):
    """The first user of the platforms, who was imported with the same id."""
    line = {
        "id": 501,
        "email": "person501@example.com",
        "username": "person501",
        "date_joined": now().isoformat(),
    }
    done = flask("users", "import", "-", stdin=json.dumps(line))
    assert done.exit_code == 0, done.output


def test_what_a_platform_issued_is_traded_once_and_nothing_else_is(anyone, flask, issued, reasons):
    tokens = issued["tokens"]
    assert start(flask, "--key-only").exit_code == 0
    for name in ("first", "second", "rotated"):
        answer = anyone.refresh(tokens[name])
        assert answer.status_code == 200, (name, answer.json)
        assert anyone.user(answer.json["access"]).json["id"] == 501
    refused = {
        "access": "token type",
        "sliding": "token type",
        "longer": "lifetime",
        "uuid": "user id",
        "address": "user id",
        "aud": "audience",
        "iss": "issuer",
    }
    for name in refused:
        assert code(anyone.refresh(tokens[name])) == "token_invalid", name
    assert code(anyone.refresh(tokens["expired"])) == "token_expired"
    assert code(anyone.refresh(tokens["HS512"])) == "token_invalid"
    assert set(reasons()) <= {*refused.values(), "signature"}


@pytest.mark.parametrize("listed", LISTED, indirect=True)
def test_with_a_list_nobody_comes_in_who_was_blacklisted(anyone, flask, listed, request):
    tokens = listed["tokens"]
    assert import_list(flask, listed["list"]).exit_code == 0
    assert start(flask).exit_code == 0
    for name in ("first", "second", "third"):
        assert code(anyone.refresh(tokens[name])) == 200
    assert code(anyone.refresh(tokens["blacklisted"])) == "token_revoked"
    version, rotation, _ = LISTED[request.node.callspec.params["listed"]]
    if rotation:
        assert code(anyone.refresh(tokens["used"])) == "token_revoked"
        is_complete = version == "5.5.1"
        rotated = anyone.refresh(tokens["rotated"])
        assert code(rotated) == (200 if is_complete else "token_revoked")
    else:
        assert code(anyone.refresh(tokens["used"])) == 200
    assert tokens["first"] not in listed["list"]


@pytest.mark.parametrize("algorithm", ["HS512", *PRIVATE])
def test_other_algorithms_are_verified_by_their_own_key(anyone, flask, issued, algorithm):
    key = SECRET if algorithm == "HS512" else public_pem(PRIVATE[algorithm])
    assert start(flask, "--key-only", "--algorithm", algorithm, key=key).exit_code == 0
    assert code(anyone.refresh(issued["tokens"][algorithm])) == 200
    assert code(anyone.refresh(issued["tokens"]["first"])) == "token_invalid"


def test_audience_and_issuer_are_those_of_the_platform(anyone, flask, issued):
    for name, option in {"aud": "--audience", "iss": "--issuer"}.items():
        assert start(flask, "--key-only", option, "shop").exit_code == 0
        assert code(anyone.refresh(issued["tokens"][name])) == 200
        assert code(anyone.refresh(issued["tokens"]["first"])) == "token_invalid"


def test_the_tokens_that_other_tests_sign_are_like_these(issued):
    real, ours = issued["tokens"]["first"], earlier_token(501)
    assert jwt.get_unverified_header(ours) == jwt.get_unverified_header(real)
    assert claims_of(ours).keys() == claims_of(real).keys()
    assert claims_of(real)["exp"] - claims_of(real)["iat"] == 86_400
