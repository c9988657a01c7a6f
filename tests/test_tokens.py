"""What a token must say, and what is said to those that do not (security.md §5).

``bare`` is the application on a database without tables: a forgery that got as far as a look-up
would be answered 503. The forgeries that concern the key stand in test_keys.py.
"""

import inspect
import json
import logging
import math
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, decode_token, jwt_required
from sqlalchemy import delete, select, update

from config import TestingConfig
from pycoder import create_app
from pycoder.accounts import administration
from pycoder.extensions import db
from pycoder.keys.key import Key
from pycoder.keys.ring import KeyRing
from pycoder.keys.store import KeyRingCache
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.tokens import status_list
from pycoder.tokens.claims import CLAIMS as CLAIM_TYPES
from pycoder.tokens.claims import new_jti
from pycoder.tokens.jwt import TokenManager, issue_tokens
from tests.callers import SECRET_KEY
from tests.test_keys import (
    CLAIMS,
    FORGERIES,
    GOOD,
    HEADER,
    KEYS,
    NOW,
    b64,
    each_forgery,
    raw,
    seal,
    unb64,
)

INVALID = 'Bearer error="invalid_token"'
HEADERS = {"access": HEADER, "refresh": HEADER | {"typ": "rt+jwt"}}
BASE = {"access": CLAIMS, "refresh": CLAIMS | {"token_type": "refresh"}}
BODIES = {"token/verify": "token", "token/refresh": "refresh", "logout": "refresh"}
SAYABLE = re.compile(r"[!-+\--~]+")  # one word of a header, without a comma
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def read(token):
    """Return the header and the claims of a token."""
    return tuple(json.loads(unb64(segment)) for segment in token.split(".")[:2])


def forge(token, **changes):
    """Sign the claims of a token again, some of them changed."""
    header, claims = read(token)
    return seal(header, claims | changes)


def bearer(client, token, path="user", method="GET"):
    headers = {"Authorization": f"Bearer {token}"}
    return client.open(f"/api/{path}/", method=method, headers=headers)


def assert_refused(answer, code="token_invalid", challenge=INVALID):
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.headers.getlist("WWW-Authenticate") == [challenge]
    assert (answer.json["status"], answer.json["code"]) == (401, code)


def assert_refused_everywhere(client, token, code="token_invalid"):
    """Show a token at every door; revocation knows no bad tokens, and must not mind this one."""
    for path, field in BODIES.items():
        assert_refused(client.post(f"/api/{path}/", json={field: token}), code)
    if SAYABLE.fullmatch(token):
        assert_refused(bearer(client, token), code)
        assert_refused(bearer(client, token, "logout", "POST"), code)
    answer = client.post("/api/token/revoke/", json={"token": token})
    assert (answer.status_code, answer.json) == (200, {})


def assert_accepted(caller):
    assert caller.user().status_code == 200
    assert caller.verify(caller.tokens.refresh).status_code == 200


def change(app, statement):
    with app.app_context():
        db.session.execute(statement)
        db.session.commit()


@pytest.fixture(scope="module")
def app_without_tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    return create_app(TestingConfig({"SECRET_KEY": SECRET_KEY}, folder))


@pytest.fixture(autouse=True)
def signed_by_hand(request, monkeypatch):
    """Have the application sign with a key that the tests have, and know one of each algorithm."""
    for name in {"migrated_app", "app_without_tables"} & set(request.fixturenames):
        keeper = KeyRingCache(KeyRing(KEYS.values()), looked_at=math.inf)
        monkeypatch.setitem(request.getfixturevalue(name).extensions, "pycoder.keys", keeper)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def bare(app_without_tables, clock):
    return app_without_tables.test_client()


@pytest.fixture(params=["access", "refresh"])
def kind(request):
    return request.param


# What is accepted


def test_a_token_says_what_is_documented_and_nothing_else(clock, ada):
    user_id = ada.user().json["id"]
    lifetimes = {"access": 3600, "refresh": 604_800}
    for kind, token in ada.tokens._asdict().items():
        header, claims = read(token)
        assert header == HEADERS[kind]
        assert re.fullmatch(r"[\w-]{22}", claims.pop("jti"))
        assert UUID(claims.pop("sid"))
        assert claims == {
            "token_type": kind,
            "exp": NOW + lifetimes[kind],
            "iat": NOW,
            "user_id": user_id,
            "sub": str(user_id),
            "iss": "pycoder",
            "aud": "pycoder",
        }
        assert {name: type(value) for name, value in read(token)[1].items()} == CLAIM_TYPES


def test_a_token_signed_by_hand_with_nothing_changed_is_accepted(ada):
    access, refresh = map(forge, ada.tokens)
    assert ada.user(access).status_code == 200
    assert ada.verify(access).status_code == 200
    assert ada.verify(refresh).status_code == 200
    assert ada.refresh(refresh).status_code == 200


def test_a_thousand_tokens_have_ids_of_their_own_of_128_bits(app_without_tables):
    class Family(NamedTuple):
        sid: UUID
        user_id: int
        refresh_jti: str
        created_at: datetime
        rotated_at: datetime | None
        expires_at: datetime

    now = datetime.now(UTC)
    family = Family(uuid4(), 7, new_jti(), now, None, now + timedelta(days=7))
    with app_without_tables.app_context():
        said = [read(issue_tokens(family).access)[1] for _ in range(1000)]
    assert len({claims["jti"] for claims in said} | {family.refresh_jti}) == 1001
    assert {len(unb64(claims["jti"])) for claims in said} == {16}
    assert all(claims.keys() == CLAIMS.keys() for claims in said)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR", "Bearer ", "bearer  "])
def test_the_case_of_the_scheme_does_not_matter(ada, scheme):
    headers = {"Authorization": f"{scheme} {ada.tokens.access}"}
    assert ada.client.get("/api/user/", headers=headers).status_code == 200
    assert ada.client.post("/api/logout/", headers=headers).status_code == 204


# What is not: forged keys, headers and shapes


@each_forgery
def test_a_forgery_is_refused_at_every_door(bare, algorithm, name):
    assert_refused_everywhere(bare, FORGERIES[algorithm][name])


def test_a_forged_token_is_not_told_that_it_has_expired(bare):
    assert_refused_everywhere(bare, seal(payload=CLAIMS | {"exp": NOW - 60}, secret=b"x" * 32))


@pytest.mark.parametrize("length", [2_000, 9_000, 60_000])
def test_a_long_token_in_the_header_is_refused(bare, length):
    assert_refused(bearer(bare, "x" * length))
    assert_refused(bearer(bare, f"{GOOD}{'x' * length}"))


def test_a_long_token_in_the_body_is_refused_unread(bare):
    for path, field in (BODIES | {"token/revoke": "token"}).items():
        answers = [
            bare.post(f"/api/{path}/", json={field: "x" * length}) for length in (4097, 1_000_000)
        ]
        assert [answer.json["code"] for answer in answers] == ["validation_error", "body_too_large"]
    assert_refused(bare.post("/api/token/verify/", json={"token": "x" * 4096}))


NO_STRING = ["5", "true", "null", "1.5", "[]", "{}", '["x"]', '""', '"\\u0000"']
NO_JSON = ["NaN", "Infinity", "1e400", '"\\ud800"', '"x', '"x", "token": "x", "refresh": "x"']


@pytest.mark.parametrize("path", [*BODIES, "token/revoke"])
@pytest.mark.parametrize("text", NO_STRING + NO_JSON)
def test_a_token_that_is_no_string_is_bad_input(bare, path, text):
    field = BODIES.get(path, "token")
    body = f'{{"{field}": {text}}}'
    answer = bare.post(f"/api/{path}/", data=body, content_type="application/json")
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
NOT_OURS = [
    *("", "Pycoder", "pycode", "pycoders", "pycoder/", " pycoder", "https://pycoder"),
    *(["pycoder"], ["pycoder", "x"], {"pycoder": 1}, None, True, 5),
]
WRONG = {
    "exp": [*NO_NUMBERS, -1, 0, NOW - 1, 10**30, -(10**30), 10**1000, NOW + 604_801],
    "iat": [*NO_NUMBERS, -1, 0, NOW + 11, NOW + 601, 10**30, -(10**30), 1.5],
    "user_id": ["1", "", 1.0, 1.5, None, [], [1], {}, {"id": 1}, 2, -1, 10**30],
    "sub": [*NO_TEXT, 1, "", "0", "01", " 1", "1.0", "+1", "١", "ada", "1" * 30, ["1"]],
    "jti": [*NO_TEXT, [CLAIMS["jti"]]],
    "sid": [*NO_TEXT, "", "x", CLAIMS["sid"][:-1], CLAIMS["sid"] + "0", "0" * 1000, "\0" * 32],
    "iss": NOT_OURS,
    "aud": NOT_OURS,
    "token_type": [*NO_TEXT, ["access"], "", "Access", "access ", "reset", "verify", "mfa", "id"],
}
CHANGES = [(name, value) for name, values in WRONG.items() for value in values]


def in_words(value):
    text = json.dumps(value) if not isinstance(value, str) else value or "empty"
    return text if len(text) < 40 else f"{text[:12]}-{len(text)}"


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=in_words)
def test_a_claim_of_another_type_or_value_is_refused(bare, kind, name, value):
    assert_refused_everywhere(bare, seal(HEADERS[kind], BASE[kind] | {name: value}))


@pytest.mark.parametrize("name", CLAIMS)
def test_a_missing_claim_is_given_no_default(bare, kind, name):
    claims = {key: value for key, value in BASE[kind].items() if key != name}
    assert_refused_everywhere(bare, seal(HEADERS[kind], claims))


@pytest.mark.parametrize("name", ["nbf", "type", "fresh", "csrf", "roles", "email", "EXP", ""])
def test_a_claim_that_is_not_ours_is_refused(bare, kind, name):
    assert_refused_everywhere(bare, seal(HEADERS[kind], BASE[kind] | {name: BASE[kind]["exp"]}))


URI = "https://id.example/.well-known/status/7.jwt"
REFERENCE = {"idx": 5, "uri": URI}
NO_PLACES = [-1, 65_536, 10**30, "5", 5.0, True, None]
NO_LISTS = [None, 5, "", "x", f"{URI}?", f" {URI}", URI.replace("7", "x"), URI[8:], [URI]]
NO_REFERENCES = [
    *(None, True, 5, "", [], {}, URI, {"idx": 5}, {"uri": URI}, [5, URI], REFERENCE | {"more": 1}),
    *(REFERENCE | {"idx": idx} for idx in NO_PLACES),
    *(REFERENCE | {"uri": uri} for uri in NO_LISTS),
]
NO_STATUS = [
    *(None, True, 5, "", [], {}, URI, REFERENCE, [{"status_list": REFERENCE}]),
    {"status_list": REFERENCE, "more": 1},
    *({"status_list": reference} for reference in NO_REFERENCES),
]


@pytest.mark.parametrize("status", NO_STATUS, ids=in_words)
def test_a_status_of_another_form_is_no_reference(status):
    assert not status_list.is_status_claim(status)


def test_a_token_that_no_service_can_verify_has_no_status(bare, kind):
    claims = BASE[kind] | {"status": {"status_list": REFERENCE}}
    assert status_list.is_status_claim(claims["status"])
    assert_refused_everywhere(bare, seal(HEADERS[kind], claims))


@pytest.mark.parametrize("value", [True, 1.0, None, [1]], ids=in_words)
def test_a_user_id_of_another_type_is_refused_also_where_sub_agrees(bare, value):
    assert_refused_everywhere(bare, seal(payload=CLAIMS | {"user_id": value, "sub": str(value)}))


@pytest.mark.parametrize("user_id", [0, -1, -(2**63), 2**63, 10**29, 10**300], ids=in_words)
def test_a_user_id_that_no_database_gives_is_refused_before_it_is_asked(bare, kind, user_id):
    claims = BASE[kind] | {"user_id": user_id, "sub": str(user_id)}
    assert_refused_everywhere(bare, seal(HEADERS[kind], claims))


@pytest.mark.parametrize("jti", ["", "\0", "x" * 33, "x" * 1000, "é" * 22], ids=in_words)
def test_a_token_id_that_we_cannot_have_given_is_refused(bare, kind, jti):
    assert_refused_everywhere(bare, seal(HEADERS[kind], BASE[kind] | {"jti": jti}))


@pytest.mark.parametrize(
    "payload", [[CLAIMS], "x", json.dumps(CLAIMS), None, 5, True, {}, []], ids=in_words
)
def test_a_payload_that_holds_no_claims_is_refused(bare, payload):
    assert_refused_everywhere(bare, seal(payload=payload))


def test_no_token_is_good_for_longer_than_the_settings_allow(bare):
    for kind, longest in {"access": 3600, "refresh": 604_800}.items():
        for issued in (NOW, NOW - 60, NOW + 10):
            claims = BASE[kind] | {"iat": issued, "exp": issued + longest + 1}
            assert_refused_everywhere(bare, seal(HEADERS[kind], claims))


def test_a_token_from_before_the_epoch_is_invalid_rather_than_expired(bare, kind):
    assert_refused_everywhere(bare, seal(HEADERS[kind], BASE[kind] | {"iat": -1, "exp": 60}))
    expired = seal(HEADERS[kind], BASE[kind] | {"iat": 0, "exp": 60})
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
    token = seal(HEADER | {"typ": typ}, CLAIMS | {"token_type": token_type})
    assert_refused_everywhere(bare, token)


def test_a_token_of_the_other_type_opens_no_door_and_does_no_harm(ada):
    access, refresh = ada.tokens
    assert_refused(ada.user(refresh))
    assert_refused(ada.logout(access=refresh))
    assert_refused(ada.refresh(access))
    assert_refused(ada.logout(refresh=access))
    assert_refused(ada.refresh(access, key="a-key-of-the-client"))
    assert_accepted(ada)


# Time


def test_a_token_has_expired_in_the_very_second_that_it_names(clock, ada):
    access, refresh = ada.tokens
    clock.move_to(NOW + 3599)
    assert ada.user(access).status_code == 200
    clock.move_to(NOW + 3600)
    assert_refused_everywhere(ada.client, access, "token_expired")
    clock.move_to(NOW + 604_799)
    assert ada.verify(refresh).status_code == 200
    clock.move_to(NOW + 604_800)
    assert_refused_everywhere(ada.client, refresh, "token_expired")


@pytest.mark.parametrize("exp", [0, -1, -9, -11, -60])
def test_expiry_knows_no_leeway(bare, kind, exp):
    claims = BASE[kind] | {"iat": NOW - 100, "exp": NOW + exp}
    assert_refused_everywhere(bare, seal(HEADERS[kind], claims), "token_expired")


def test_a_clock_that_is_ten_seconds_ahead_is_forgiven_and_no_more(clock, ada):
    for token in ada.tokens:
        exp = read(token)[1]["exp"]
        assert ada.verify(forge(token, iat=NOW + 10, exp=exp + 10)).status_code == 200
        assert_refused_everywhere(ada.client, forge(token, iat=NOW + 11, exp=exp + 11))
    assert_accepted(ada)


# Whose token


def assert_revoked(caller, access, refresh):
    assert_refused(caller.user(access), "token_revoked")
    assert_refused(caller.verify(access), "token_revoked")
    assert_refused(caller.verify(refresh), "token_revoked")
    assert_refused(caller.refresh(refresh), "token_revoked")


def test_the_tokens_of_a_deleted_user_are_refused(app, ada):
    with app.app_context():
        administration.delete_user(administration.find_user(ada.email))
    assert_revoked(ada, *ada.tokens)
    old = ada.tokens
    assert ada.register().status_code == 201
    assert_revoked(ada, *old)
    assert_accepted(ada)


def test_the_tokens_of_a_deactivated_user_are_refused_for_good(app, ada):
    for active in (False, True):
        with app.app_context():
            administration.set_active(administration.find_user(ada.email), active)
        assert_refused(ada.user(), "token_revoked")
        assert_refused(ada.verify(ada.tokens.refresh), "token_revoked")


DEAD = {
    "user is not active": update(User).values(is_active=False),
    "session is over": update(Session).values(revoked_at=datetime(2026, 1, 1, tzinfo=UTC)),
    "session has expired": update(Session).values(expires_at=datetime(2026, 1, 1, tzinfo=UTC)),
    "session is gone": delete(Session),
    "user is gone": delete(User),
}


@pytest.mark.parametrize("statement", DEAD.values(), ids=DEAD)
def test_what_the_database_says_counts_from_the_next_request_on(app, ada, statement):
    assert_accepted(ada)
    change(app, statement)
    assert_revoked(ada, *ada.tokens)


def test_a_token_without_a_session_is_refused(ada):
    assert_revoked(ada, *(forge(token, sid=str(uuid4())) for token in ada.tokens))
    assert_accepted(ada)


@pytest.mark.parametrize("user_id", [2**31, 2**63 - 1])
def test_a_token_of_an_unknown_user_is_refused(ada, user_id):
    changes = {"user_id": user_id, "sub": str(user_id)}
    assert_revoked(ada, *(forge(token, **changes) for token in ada.tokens))
    assert_accepted(ada)


def test_a_token_that_names_another_users_session_is_refused_and_does_no_harm(ada, bob):
    bobs = read(bob.tokens.access)[1]
    changes = {"user_id": bobs["user_id"], "sub": bobs["sub"]}
    access, refresh = (forge(token, **changes) for token in ada.tokens)
    assert_revoked(ada, access, refresh)
    assert ada.revoke(access).status_code == 200
    assert ada.revoke(refresh).status_code == 200
    ada.logout(access, refresh)
    assert_accepted(ada)
    assert_accepted(bob)


# Revocation goes by the id, not by the text


def test_a_revoked_token_is_known_by_its_id_however_it_is_written(ada, rows):
    access = ada.tokens.access
    assert ada.revoke(access).status_code == 200
    exp = read(access)[1]["exp"]
    for twin in (access, forge(access), forge(access, exp=exp - 1)):
        assert_refused(ada.user(twin), "token_revoked")
        assert_refused(ada.verify(twin), "token_revoked")
    assert_refused(ada.user(f"{access}="))
    assert rows(select(TokenBlocklist.jti)) == [read(access)[1]["jti"]]
    assert ada.verify(ada.tokens.refresh).status_code == 200


def test_after_logout_no_spelling_of_a_token_is_accepted(ada):
    access, refresh = ada.tokens
    assert ada.logout(access).status_code == 204
    assert_revoked(ada, access, refresh)
    assert_revoked(ada, forge(access), forge(refresh))
    assert_revoked(ada, forge(access, jti=new_jti()), refresh)
    for token in (f"{access}=", f"{refresh}="):
        assert_refused_everywhere(ada.client, token)


def test_the_twin_of_an_elliptic_signature_ends_with_its_token(app, ada, monkeypatch):
    private = ec.generate_private_key(ec.SECP256R1())
    ring = KeyRing([Key("pair", "ES256", private, private.public_key())])
    keeper = KeyRingCache(ring, looked_at=math.inf)
    monkeypatch.setitem(app.extensions, "pycoder.keys", keeper)
    access, refresh = ada.login()
    text, _, signature = access.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:])
    twin = f"{text}.{b64(r + (P256_ORDER - s).to_bytes(32))}"
    assert ada.user(twin).status_code == 200
    assert ada.logout(access).status_code == 204
    assert_revoked(ada, twin, refresh)


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


def test_two_credentials_are_refused_whoever_they_belong_to(ada, bob):
    mine, other = f"Bearer {ada.tokens.access}", f"Bearer {bob.tokens.access}"
    pairs = [(mine, other), (mine, mine), (mine, "Basic YWRhOnB3"), ("Basic x", mine), (mine, "")]
    for pair in pairs:
        for headers in (
            [("Authorization", one) for one in pair],
            {"Authorization": ",".join(pair)},
        ):
            assert_refused(ada.client.get("/api/user/", headers=headers))
            assert_refused(ada.client.post("/api/logout/", headers=headers))
    assert_accepted(ada)
    assert_accepted(bob)


@pytest.mark.parametrize("name", ["jwt", "access_token", "token", "access", "Authorization"])
def test_a_token_in_the_address_is_never_read_nor_logged(ada, caplog, name):
    caplog.set_level(logging.DEBUG)
    for value in (ada.tokens.access, f"Bearer {ada.tokens.access}"):
        answer = ada.client.get("/api/user/", query_string={name: value})
        assert_refused(answer, "token_missing", "Bearer")
        answer = ada.client.post("/api/logout/", query_string={name: value})
        assert_refused(answer, "token_missing", "Bearer")
    answer = ada.client.post("/api/token/refresh/", query_string={"refresh": ada.tokens.refresh})
    assert answer.status_code == 400
    assert not any(token in caplog.text for token in ada.tokens)
    assert_accepted(ada)


def test_an_access_token_in_a_body_is_not_read(ada):
    for fields in ({"access_token": ada.tokens.access}, {"access": ada.tokens.access}):
        for body in ({"json": fields}, {"data": fields}):
            answer = ada.client.open("/api/user/", method="GET", **body)
            assert_refused(answer, "token_missing", "Bearer")


# Flask-JWT-Extended, whose two inner methods TokenManager replaces


@pytest.mark.parametrize("name", ["_decode_jwt_from_config", "_encode_jwt_from_config"])
def test_flask_jwt_extended_still_has_the_methods_that_we_replace(name):
    theirs, ours = (
        [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
        for method in (vars(JWTManager)[name], vars(TokenManager)[name])
    )
    assert ours == theirs


def test_flask_jwt_extended_still_goes_through_them_for_every_token():
    calls = []

    class Witness(JWTManager):
        def _decode_jwt_from_config(self, *args, **kwargs):
            inspect.signature(TokenManager._decode_jwt_from_config).bind(self, *args, **kwargs)
            calls.append("decode")
            return super()._decode_jwt_from_config(*args, **kwargs)

        def _encode_jwt_from_config(self, *args, **kwargs):
            inspect.signature(TokenManager._encode_jwt_from_config).bind(self, *args, **kwargs)
            calls.append("encode")
            return super()._encode_jwt_from_config(*args, **kwargs)

    app = Flask("bystander")
    app.config["SECRET_KEY"] = SECRET_KEY
    Witness(app)
    app.add_url_rule("/", view_func=jwt_required()(lambda: "in"), endpoint="guarded")
    with app.app_context():
        token = create_access_token("1")
        decode_token(token)
    assert calls == ["encode", "decode"]
    answer = app.test_client().get("/", headers={"Authorization": f"Bearer {token}"})
    assert answer.text == "in"
    assert calls == ["encode", "decode", "decode"]


def test_a_token_of_flask_jwt_extended_itself_is_refused(bare, app_without_tables):
    assert type(app_without_tables.extensions["flask-jwt-extended"]) is TokenManager
    theirs = Flask("bystander")
    theirs.config["SECRET_KEY"] = SECRET_KEY
    JWTManager(theirs)
    with theirs.app_context():
        assert_refused_everywhere(bare, create_access_token("1"))


def test_a_guard_asks_our_manager_and_not_flask_jwt_extended(ada):
    """What its own decoder would accept of this key, the guard refuses."""
    header, claims = read(ada.tokens.access)
    lax = {"sub": claims["sub"], "exp": claims["exp"], "jti": claims["jti"], "type": "access"}
    assert_refused(ada.user(seal({"alg": "HS256", "typ": "JWT"}, lax)))
    assert_refused(ada.user(seal(header, lax)))
    assert_refused(ada.user(seal(header, claims | lax)))
    assert ada.user(seal(header, raw(claims))).status_code == 200
