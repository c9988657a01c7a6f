"""Tokens: what they contain, when they expire, when they are revoked, where they are read."""

import inspect
import logging
import math
import re
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, decode_token, jwt_required
from sqlalchemy import delete, select, update

from pycoder.accounts import administration
from pycoder.keys.key import Key
from pycoder.keys.ring import KeyRing, current_ring
from pycoder.keys.store import KeyRingCache
from pycoder.models.session import Session, TokenBlocklist
from pycoder.models.user import User
from pycoder.tokens.claims import ACCESS_CLAIMS, REFRESH_CLAIMS, new_jti
from pycoder.tokens.jwt import TokenManager
from tests.support.application import change
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import HEADERS, NOW, forge, sign_json
from tests.support.refusals import (
    assert_accepted,
    assert_refused,
    assert_refused_everywhere,
    assert_revoked,
)
from tests.support.tokens import b64, raw, read, unb64

pytestmark = pytest.mark.usefixtures("signed_by_hand")


DAY = 86_400
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# What is accepted


def test_a_token_says_what_is_documented_and_nothing_else(clock, ada):
    user_id = ada.user().json["id"]
    lifetimes = {"access": 3600, "refresh": 604_800}
    types = {"access": ACCESS_CLAIMS, "refresh": REFRESH_CLAIMS}
    own = {
        "access": {
            "aud": "pycoder",
            "client_id": "pycoder",
            "auth_time": NOW,
            "amr": ["pwd"],
            "acr": "aal1",
            "roles": [],
        },
        "refresh": {"aud": "http://localhost:8000"},
    }
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
            "iss": "http://localhost:8000",
            **own[kind],
        }
        assert {name: type(value) for name, value in read(token)[1].items()} == types[kind]


def test_a_refreshed_access_token_says_when_and_how_its_user_authenticated(clock, ada):
    clock.move_to(NOW + 7000)
    claims = read(ada.refresh().json["access"])[1]
    assert (claims["iat"], claims["auth_time"]) == (NOW + 7000, NOW)
    assert (claims["amr"], claims["acr"]) == (["pwd"], "aal1")


def test_issuer_and_audience_are_settings_and_old_tokens_end_with_them(app, setting, ada):
    def restart():
        with app.app_context():
            current_ring().verify.cache_clear()

    old = ada.tokens
    setting("JWT_ISSUER", "https://id.example")
    setting("JWT_AUDIENCE", "shops")
    access, refresh = ada.login()
    assert [read(access)[1][name] for name in ("iss", "aud")] == ["https://id.example", "shops"]
    assert [read(refresh)[1][name] for name in ("iss", "aud")] == ["https://id.example"] * 2
    assert_accepted(ada)
    setting("JWT_AUDIENCE", "banks")
    restart()
    assert_refused(ada.user())
    assert ada.verify(ada.tokens.refresh).status_code == 200
    for token in old:
        assert_refused(ada.verify(token))


def test_a_token_signed_by_hand_with_nothing_changed_is_accepted(ada):
    access, refresh = map(forge, ada.tokens)
    assert ada.user(access).status_code == 200
    assert ada.verify(access).status_code == 200
    assert ada.verify(refresh).status_code == 200
    assert ada.refresh(refresh).status_code == 200


SCHEMES = ["bearer", "BEARER", "bEaReR", "Bearer ", "bearer  ", "Bearer\t", "Bearer \t"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_case_of_the_scheme_does_not_matter(ada, scheme):
    headers = {"Authorization": f"{scheme} {ada.tokens.access}"}
    assert ada.client.get("/api/user/", headers=headers).status_code == 200
    assert ada.client.post("/api/logout/", headers=headers).status_code == 204


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x0b", "\x1f"])
def test_white_space_of_other_kinds_is_none(ada, space):
    for text in ("Bearer{}{}", "Bearer {1}{0}", "Bearer {0}{1}", "{}Bearer {}", "Bearer {1}{0}x"):
        header = {"HTTP_AUTHORIZATION": text.format(space, ada.tokens.access)}
        for method, path in (("GET", "user"), ("POST", "logout")):
            answer = ada.client.open(f"/api/{path}/", method=method, environ_overrides=header)
            assert answer.status_code == 401, text
    assert_accepted(ada)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer \t "])
def test_the_scheme_alone_is_no_token(ada, header):
    for method, path in (("GET", "user"), ("POST", "logout"), ("DELETE", "user")):
        headers = {"HTTP_AUTHORIZATION": header}
        answer = ada.client.open(f"/api/{path}/", method=method, environ_overrides=headers)
        assert_refused(answer, "token_missing", "Bearer")


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


def test_a_clock_that_is_a_day_ahead_is_forgiven_and_no_more(clock, ada):
    for token in ada.tokens:
        exp = read(token)[1]["exp"]
        assert ada.verify(forge(token, iat=NOW + DAY, exp=exp + DAY)).status_code == 200
        late = forge(token, iat=NOW + DAY + 1, exp=exp + DAY + 1)
        assert_refused_everywhere(ada.client, late)
    assert_accepted(ada)


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


def test_a_guard_asks_our_manager_and_not_flask_jwt_extended(ada):
    """What its own decoder would accept of this key, the guard refuses."""
    header, claims = read(ada.tokens.access)
    lax = {"sub": claims["sub"], "exp": claims["exp"], "jti": claims["jti"], "type": "access"}
    assert_refused(ada.user(sign_json({"alg": "HS256", "typ": "JWT"}, lax)))
    assert_refused(ada.user(sign_json(header, lax)))
    assert_refused(ada.user(sign_json(header, claims | lax)))
    assert ada.user(sign_json(header, raw(claims))).status_code == 200
