"""Forged and malformed tokens at every call that takes a token.

``bare`` calls an application on a database without tables: a forgery that reached a query would be
answered 503.
"""

import json

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token

from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenManager
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import (
    BASE,
    CLAIMS,
    FORGERIES,
    GOOD,
    HEADER,
    HEADERS,
    NOW,
    REFERENCE,
    REFRESH_CLAIMS,
    REFRESH_HEADER,
    each_forgery,
    sign_json,
)
from tests.support.parameters import in_words
from tests.support.refusals import BODIES, assert_refused, assert_refused_everywhere, bearer

pytestmark = pytest.mark.usefixtures("signed_by_hand")


# What is not: forged keys, headers and shapes


@each_forgery
def test_a_forgery_is_refused_at_every_door(bare, algorithm, name):
    assert_refused_everywhere(bare, FORGERIES[algorithm][name])


def test_a_forged_token_is_not_told_that_it_has_expired(bare):
    assert_refused_everywhere(bare, sign_json(payload=CLAIMS | {"exp": NOW - 60}, secret=b"x" * 32))


@pytest.mark.parametrize("length", [2_000, 9_000, 60_000])
def test_a_long_token_in_the_header_is_refused(bare, length):
    assert_refused(bearer(bare, "x" * length))
    assert_refused(bearer(bare, f"{GOOD}{'x' * length}"))


def test_a_long_token_in_the_body_is_refused_unread(bare):
    for path, field in (BODIES | {"token/revoke": "token"}).items():
        long = bare.post(f"/api/{path}/", json={field: "x" * 4097})
        if path not in ENDS:
            assert long.json["code"] == "validation_error"
        longer = bare.post(f"/api/{path}/", json={field: "x" * 1_000_000})
        assert longer.json["code"] == "body_too_large"
    assert_refused(bare.post("/api/token/verify/", json={"token": "x" * 4096}))


# What ends a token takes any text, which is then no token, but nothing else.
ENDS = ("logout", "token/revoke")


@pytest.mark.parametrize("text", ["", "\0", "é", "x" * 4097, "x" * 60_000, f"{GOOD}{'x' * 9000}"])
def test_any_text_can_be_given_to_end_it(bare, text):
    answer = bare.post("/api/logout/", json={"refresh": text})
    assert_refused(answer, *(() if text else ("token_missing", "Bearer")))
    answer = bare.post("/api/token/revoke/", json={"token": text})
    assert (answer.status_code, answer.json) == (200, {})


NO_STRING = ["5", "true", "null", "1.5", "[]", "{}", '["x"]', '""', '"\\u0000"']
NO_JSON = ["NaN", "Infinity", "1e400", '"\\ud800"', '"x', '"x", "token": "x", "refresh": "x"']


@pytest.mark.parametrize("path", [*BODIES, "token/revoke"])
@pytest.mark.parametrize("text", NO_STRING + NO_JSON)
def test_a_token_that_is_no_string_is_bad_input(bare, path, text):
    field = BODIES.get(path, "token")
    body = f'{{"{field}": {text}}}'
    answer = bare.post(f"/api/{path}/", data=body, content_type="application/json")
    if path in ENDS and (text.startswith('"') or (path, text) == ("logout", "null")):
        assert answer.status_code == (400 if text in NO_JSON else 401 if path == "logout" else 200)
        return
    assert answer.status_code == 400
    if text in NO_JSON:
        assert answer.json["code"] == "malformed_json"
    else:
        assert answer.json["code"] == "validation_error"
        assert list(answer.json["errors"]) == [field]


@pytest.mark.parametrize("path", [*BODIES, "token/revoke"])
@pytest.mark.parametrize("body", ["[]", "[1]", "5", "null", '"x"', '[{"token": "x"}]'])
def test_a_body_that_is_no_object_is_bad_input(bare, path, body):
    answer = bare.post(f"/api/{path}/", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "validation_error")


# Claims

NO_NUMBERS = [str(NOW), "١٧٩٥", "9_999", " 9 ", "", True, False, None, [], [NOW], {}, NOW + 60.0]
NO_TEXT = [None, True, 5, 1.5, [], {}]
ISSUER = CLAIMS["iss"]
NOT_OURS = [
    *("", "Pycoder", "pycode", "pycoders", "pycoder/", " pycoder", "https://pycoder"),
    *(["pycoder"], ["pycoder", "x"], {"pycoder": 1}, None, True, 5),
    *(f"{ISSUER}/", ISSUER.upper(), ISSUER[:-1], [ISSUER], ["pycoder", ISSUER], {ISSUER: 1}),
]
WRONG = {
    "exp": [*NO_NUMBERS, -1, 0, NOW - 1, 10**30, -(10**30), 10**1000, NOW + 604_801],
    "iat": [*NO_NUMBERS, -1, 0, NOW + 86_401, NOW + 604_801, 10**30, -(10**30), 1.5],
    "user_id": ["1", "", 1.0, 1.5, None, [], [1], {}, {"id": 1}, 2, -1, 10**30],
    "sub": [*NO_TEXT, 1, "", "0", "01", " 1", "1.0", "+1", "١", "ada", "1" * 30, ["1"]],
    "jti": [*NO_TEXT, [CLAIMS["jti"]]],
    "sid": [*NO_TEXT, "", "x", CLAIMS["sid"][:-1], CLAIMS["sid"] + "0", "0" * 1000, "\0" * 32],
    "iss": NOT_OURS,
    "aud": NOT_OURS,
    "token_type": [*NO_TEXT, ["access"], "", "Access", "access ", "reset", "verify", "mfa", "id"],
}
CHANGES = [(name, value) for name, values in WRONG.items() for value in values]
OF_ACCESS_TOKENS = {
    "client_id": [*NO_TEXT, "", "shop", ["pycoder"]],
    "auth_time": [*NO_NUMBERS, -1, -(10**30), 1.5],
    "amr": [None, True, 5, "pwd", [], {}, {"pwd": 1}, [5], ["pwd", None], [["pwd"]]],
    "acr": [*NO_TEXT, "", "aal2", "AAL1", ["aal1"]],
    "roles": [None, True, 5, "admin", {}, {"admin": 1}, [5], ["admin", None], [["admin"]]],
    "external_id": NO_TEXT,
}
MORE_CHANGES = [(name, value) for name, values in OF_ACCESS_TOKENS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), MORE_CHANGES, ids=in_words)
def test_a_claim_of_access_tokens_with_another_type_or_value_is_refused(bare, name, value):
    assert_refused_everywhere(bare, sign_json(HEADER, CLAIMS | {name: value}))


@pytest.mark.parametrize("name", OF_ACCESS_TOKENS)
def test_a_claim_of_access_tokens_makes_a_refresh_token_invalid(bare, name):
    assert_refused_everywhere(
        bare, sign_json(REFRESH_HEADER, REFRESH_CLAIMS | {name: CLAIMS.get(name, "x")})
    )


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=in_words)
def test_a_claim_of_another_type_or_value_is_refused(bare, kind, name, value):
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], BASE[kind] | {name: value}))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, claims in BASE.items() for name in claims]
)
def test_a_missing_claim_is_given_no_default(bare, kind, name):
    claims = {key: value for key, value in BASE[kind].items() if key != name}
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], claims))


@pytest.mark.parametrize("name", ["nbf", "type", "fresh", "csrf", "roles", "email", "EXP", ""])
def test_a_claim_that_is_not_ours_is_refused(bare, kind, name):
    assert_refused_everywhere(
        bare, sign_json(HEADERS[kind], BASE[kind] | {name: BASE[kind]["exp"]})
    )


def test_a_token_that_no_service_can_verify_has_no_status(bare, kind):
    claims = BASE[kind] | {"status": {"status_list": REFERENCE}}
    assert status_list.is_status_claim(claims["status"])
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], claims))


@pytest.mark.parametrize("value", [True, 1.0, None, [1]], ids=in_words)
def test_a_user_id_of_another_type_is_refused_also_where_sub_agrees(bare, value):
    assert_refused_everywhere(
        bare, sign_json(payload=CLAIMS | {"user_id": value, "sub": str(value)})
    )


@pytest.mark.parametrize("user_id", [0, -1, -(2**63), 2**63, 10**29, 10**300], ids=in_words)
def test_a_user_id_that_no_database_gives_is_refused_before_it_is_asked(bare, kind, user_id):
    claims = BASE[kind] | {"user_id": user_id, "sub": str(user_id)}
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], claims))


@pytest.mark.parametrize("jti", ["", "\0", "x" * 33, "x" * 1000, "é" * 22], ids=in_words)
def test_a_token_id_that_we_cannot_have_given_is_refused(bare, kind, jti):
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], BASE[kind] | {"jti": jti}))


@pytest.mark.parametrize(
    "payload", [[CLAIMS], "x", json.dumps(CLAIMS), None, 5, True, {}, []], ids=in_words
)
def test_a_payload_that_holds_no_claims_is_refused(bare, payload):
    assert_refused_everywhere(bare, sign_json(payload=payload))


def test_no_token_is_good_for_longer_than_the_settings_allow(bare):
    for kind, longest in {"access": 3600, "refresh": 604_800}.items():
        for issued in (NOW, NOW - 60, NOW + 10, NOW + 86_400):
            claims = BASE[kind] | {"iat": issued, "exp": issued + longest + 1}
            assert_refused_everywhere(bare, sign_json(HEADERS[kind], claims))


def test_a_token_from_before_the_epoch_is_invalid_rather_than_expired(bare, kind):
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], BASE[kind] | {"iat": -1, "exp": 60}))
    expired = sign_json(HEADERS[kind], BASE[kind] | {"iat": 0, "exp": 60})
    assert_refused_everywhere(bare, expired, "token_expired")


# Types of tokens

TYPS = [
    "at+jwt",
    "rt+jwt",
    "JWT",
    "AT+JWT",
    "application/at+jwt",
    "mfa+jwt",
    "",
    None,
    ["at+jwt"],
    5,
]
TYPES = ["access", "refresh", "reset", "verify", "mfa"]
DIAGONAL = [("at+jwt", "access"), ("rt+jwt", "refresh")]
SWAPS = [(typ, kind) for typ in TYPS for kind in TYPES if (typ, kind) not in DIAGONAL]


@pytest.mark.parametrize(("typ", "token_type"), SWAPS, ids=in_words)
def test_the_type_in_the_header_and_the_type_in_the_claims_must_agree(bare, typ, token_type):
    for header, claims in ((HEADER, CLAIMS), (REFRESH_HEADER, REFRESH_CLAIMS)):
        token = sign_json(header | {"typ": typ}, claims | {"token_type": token_type})
        assert_refused_everywhere(bare, token)


def test_neither_key_signs_the_tokens_of_the_other(bare):
    """All of these have the signature of a key of the server, and the audience of their claims."""
    assert_refused_everywhere(bare, sign_json(HEADER | {"typ": "rt+jwt"}, REFRESH_CLAIMS))
    assert_refused_everywhere(bare, sign_json(HEADER, REFRESH_CLAIMS))
    assert_refused_everywhere(bare, sign_json(REFRESH_HEADER | {"typ": "at+jwt"}, CLAIMS))
    assert_refused_everywhere(bare, sign_json(REFRESH_HEADER, CLAIMS))


@pytest.mark.parametrize("exp", [0, -1, -9, -11, -60])
def test_expiry_knows_no_leeway(bare, kind, exp):
    claims = BASE[kind] | {"iat": NOW - 100, "exp": NOW + exp}
    assert_refused_everywhere(bare, sign_json(HEADERS[kind], claims), "token_expired")


# Where a token is looked for

NO_TOKEN = {
    "no header": {},
    "an empty header": {"Authorization": ""},
    "another scheme": {"Authorization": "Basic YWRhOnB3"},
    "a scheme alike": {"Authorization": f"Bearers {GOOD}"},
    "no scheme": {"Authorization": GOOD},
    "cookies": {"Cookie": f"access_token_cookie={GOOD}; access={GOOD}; token={GOOD}"},
    "other headers": {"X-Access-Token": GOOD, "Proxy-Authorization": f"Bearer {GOOD}"},
}


@pytest.mark.parametrize("headers", NO_TOKEN.values(), ids=NO_TOKEN)
def test_without_a_token_the_challenge_names_no_error(bare, headers):
    missing = {"code": "token_missing", "challenge": "Bearer"}
    assert_refused(bare.get("/api/user/", headers=headers), **missing)
    assert_refused(bare.post("/api/logout/", headers=headers), **missing)


def test_a_logout_with_an_empty_body_lacks_a_token(bare):
    assert_refused(bare.post("/api/logout/", json={}), "token_missing", "Bearer")


@pytest.mark.parametrize("rest", ["x", "x y", f"{GOOD} {GOOD}", f"{GOOD} x", f'token="{GOOD}"'])
def test_a_malformed_credential_is_refused(bare, rest):
    assert_refused(bearer(bare, rest))
    assert_refused(bearer(bare, rest, "logout", "POST"))


def test_a_token_of_flask_jwt_extended_itself_is_refused(client, migrated_app):
    """Its header is that of an earlier platform, so that the database is asked for a takeover."""
    assert type(migrated_app.extensions["flask-jwt-extended"]) is TokenManager
    theirs = Flask("bystander")
    theirs.config["SECRET_KEY"] = SECRET_KEY
    JWTManager(theirs)
    with theirs.app_context():
        assert_refused_everywhere(client, create_access_token("1"))
