"""Tokens that are not traded."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, select

from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session
from pycoder.models.takeover import AdoptedToken
from tests.support.clocks import later
from tests.support.forgeries import signed
from tests.support.keys import code
from tests.support.parameters import on_sqlite, table
from tests.support.simplejwt import KEY, earlier_token, in_days, start
from tests.support.tokens import b64, claims_of, raw

pytestmark = on_sqlite

FORGED = {
    "another key": lambda at, who: earlier_token(who, key="x" * 50),
    "another algorithm": lambda at, who: earlier_token(who, algorithm="HS384"),
    "an injected kid": lambda at, who: earlier_token(who, headers={"kid": "0"}),
    "an injected jwk": lambda at, who: earlier_token(who, headers={"jwk": {"kty": "oct"}}),
    "no typ": lambda at, who: earlier_token(who, headers={"typ": None}),
    "no algorithm": lambda at, who: earlier_token(who, key=None, algorithm="none"),
    "no signature": lambda at, who: earlier_token(who).rpartition(".")[0] + ".",
}
WRONG = {
    "an access token": ("token type", {"token_type": "access"}),
    "a sliding token": ("token type", {"token_type": "sliding"}),
    "another audience": ("audience", {"aud": "shop"}),
    "another issuer": ("issuer", {"iss": "shop"}),
    "no jti": ("jti", {"jti": None}),
    "a jti of another type": ("jti", {"jti": 1}),
    "a jti that is too long": ("jti", {"jti": "a" * 256}),
    "times as text": ("times", {"iat": "1"}),
    "no user": ("user id", {"user_id": None}),
    "a user by uuid": ("user id", {"user_id": "c0ffee00-0000-4000-8000-000000000000"}),
    "a user by address": ("user id", {"user_id": "ada@example.com"}),
    "a user by a truth": ("user id", {"user_id": True}),
    "a number with a zero": ("user id", {"user_id": "01"}),
    "a number beyond the column": ("user id", {"user_id": "9" * 19}),
    "another spelling": ("user id", {"user_id": " 1"}),
}
each_wrong = table({name: (name, *case) for name, case in WRONG.items()})


@pytest.fixture
def nothing_happened(rows, ada):
    """Assert that a test has created no session."""
    yield
    assert rows(select(AdoptedToken.jti)) == []
    assert rows(select(func.count(Session.id))) == [1]


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_a_forgery_is_refused(ada, ada_id, name, reasons):
    assert code(ada.refresh(FORGED[name](0, ada_id))) == "token_invalid"
    assert set(reasons()) <= {"signature"}


@each_wrong
@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_a_token_with_another_claim_is_refused(ada, ada_id, case, reasons):
    _, reason, claims = case
    assert code(ada.refresh(earlier_token(ada_id, **claims))) == "token_invalid"
    assert reasons() == [reason]


@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_claims_that_are_no_object_are_refused(ada, reasons):
    text = ".".join(b64(raw(part)) for part in ({"alg": "HS256", "typ": "JWT"}, [1]))
    assert code(ada.refresh(signed(text, KEY.encode()))) == "token_invalid"
    assert reasons() == ["claims"]


@pytest.mark.usefixtures("nothing_happened")
def test_a_public_key_is_no_secret(ada, ada_id, flask, reasons):
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    pem = private.public_key().public_bytes(*form).decode()
    assert start(flask, "--key-only", "--algorithm", "RS256", key=pem).exit_code == 0
    claims = b64(raw(claims_of(earlier_token(ada_id))))
    for algorithm in ("HS256", "RS256"):
        for key in (pem, pem.strip()):
            head = b64(raw({"alg": algorithm, "typ": "JWT"}))
            assert code(ada.refresh(signed(f"{head}.{claims}", key.encode()))) == "token_invalid"


@pytest.mark.usefixtures("nothing_happened")
def test_a_token_is_refused_once_it_has_expired(ada, token, reasons):
    with later(days=1, seconds=1):
        assert code(ada.refresh(token)) == "token_expired"
    assert reasons() == []


@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_a_token_that_lives_longer_than_the_platform_lets_it_is_refused(ada, ada_id, reasons):
    exp = claims_of(earlier_token(ada_id))["iat"] + 86_401
    assert code(ada.refresh(earlier_token(ada_id, exp=exp))) == "token_invalid"
    assert reasons() == ["lifetime"]


@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_a_token_of_after_the_cut_over_is_refused(ada, ada_id, reasons):
    with later(seconds=90):
        assert code(ada.refresh(earlier_token(ada_id))) == "token_invalid"
    assert reasons() == ["issued after the cut-over"]


@pytest.mark.usefixtures("nothing_happened")
def test_after_its_end_a_takeover_trades_nothing(ada, ada_id, flask):
    assert start(flask, "--key-only", until=in_days(0.1)).exit_code == 0
    token = earlier_token(ada_id)
    with later(hours=3):
        assert code(ada.refresh(token)) == "token_invalid"


@pytest.mark.usefixtures("nothing_happened")
def test_once_stopped_a_takeover_trades_nothing_at_once(ada, token, flask):
    assert flask("takeover", "stop").exit_code == 0
    assert code(ada.refresh(token)) == "token_invalid"


def test_a_client_that_kept_the_old_token_is_signed_out_at_the_end(ada, token, flask, sessions):
    pair = ada.refresh(token).json
    flask("takeover", "stop")
    assert code(ada.refresh(token)) == "token_invalid"
    assert len(sessions()) == 1
    assert code(ada.refresh(pair["refresh"])) == 200


@pytest.mark.usefixtures("nothing_happened", "takeover")
def test_an_unknown_account_is_refused_like_any_other(ada, ada_id, reasons):
    unknown = ada.refresh(earlier_token(ada_id + 1000))
    assert code(unknown) == "token_revoked"
    assert reasons() == ["unknown account"]


@pytest.mark.usefixtures("takeover")
def test_refusals_are_recorded_once_an_hour(ada, ada_id, reasons, rows):
    tokens = [earlier_token(ada_id, aud="shop"), earlier_token(ada_id, key="x" * 50)]
    for token in tokens * 3:
        ada.refresh(token)
    assert reasons() == ["audience", "signature"]
    with later(minutes=61):
        for token in tokens * 2:
            ada.refresh(token)
    assert reasons() == ["audience", "signature"] * 2
    refused = AuditEvent.event == "token.adoption_refused"
    assert set(rows(select(AuditEvent.user_id).where(refused))) == {ada_id, None}


@pytest.mark.parametrize("member", ["aud", "iss"])
def test_audience_and_issuer_are_compared_if_they_are_named(ada, ada_id, flask, member):
    option = {"aud": "--audience", "iss": "--issuer"}[member]
    assert start(flask, "--key-only", option, "shop").exit_code == 0
    for value in ("another", *([None, ["another"]] if member == "aud" else [])):
        assert code(ada.refresh(earlier_token(ada_id, **{member: value}))) == "token_invalid"
    assert code(ada.refresh(earlier_token(ada_id))) == "token_invalid"
    assert code(ada.refresh(earlier_token(ada_id, **{member: "shop"}))) == 200
    if member == "aud":
        assert code(ada.refresh(earlier_token(ada_id, aud=["shop", "app"]))) == 200


def test_the_claim_that_names_the_user_can_have_another_name(ada, ada_id, flask):
    assert start(flask, "--key-only", "--claim", "sub").exit_code == 0
    assert code(ada.refresh(earlier_token(0, sub=str(ada_id)))) == 200


def test_a_number_names_a_user_too(ada, ada_id, takeover):
    assert code(ada.refresh(earlier_token(ada_id, user_id=ada_id))) == 200


def test_a_key_that_cannot_be_decrypted_signs_nobody_out(app_with, ada, token, caplog):
    other = app_with(SECRET_KEY="vKq2Zr8mXt5LwYb9NcJh4GdSf7PaUe3T")
    answer = other.test_client().post("/api/token/refresh/", json={"refresh": token})
    assert (answer.status_code, answer.json["code"]) == (503, "keys_unreadable")
    assert "flask takeover start" in caplog.text


def test_a_curve_is_part_of_an_algorithm(flask):
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert start(flask, "--key-only", "--algorithm", "ES256", key=pem).exit_code == 1
    assert start(flask, "--key-only", "--algorithm", "ES384", key=pem).exit_code == 0
