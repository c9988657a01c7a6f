"""Stored keys: encrypted, agreed upon, and known while the database is away."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select, text

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.keys import store as keys_store
from pycoder.keys.key import KeyDecryptionError, decrypt_key, generate_key
from pycoder.keys.ring import KeyRing
from pycoder.keys.store import MAX_STALENESS, KeyRingCache
from pycoder.models.key import SigningKey
from pycoder.models.session import Session
from tests.support.callers import Caller
from tests.support.constants import SECRET_KEY
from tests.support.keys import ALGORITHMS, code, jwks, kid_of

# The first key


def test_many_that_start_together_agree_on_one_first_key(app, store, rows, trail):
    def start(_):
        with app.app_context():
            return KeyRingCache().ring().sign({}, typ="at+jwt")

    with ThreadPoolExecutor(8) as pool:
        signed = {kid_of(token) for token in pool.map(start, range(8))}
    assert signed == set(rows(select(SigningKey.kid)))
    assert len(signed) == 1
    assert trail() == [Event.KEY_CREATED]


# At rest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_stored_of_a_key_gives_it_away_to_nobody(app, store, setting, ring, algorithm):
    setting("JWT_ALGORITHM", algorithm)
    ring()
    with app.app_context():
        [kept] = keys_store.load_stored_keys()
        private = kept.decrypt().private_key
    if algorithm != "HS256":
        private = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert not any(private[i : i + 8] in kept.encrypted_key for i in range(len(private) - 7))
    flips = [
        kept.encrypted_key[:i] + bytes([kept.encrypted_key[i] ^ 1]) + kept.encrypted_key[i + 1 :]
        for i in (0, 12, -1)
    ]
    for secret, kid, alg, sealed in [
        (SECRET_KEY + "x", kept.kid, algorithm, kept.encrypted_key),
        (SECRET_KEY, kept.kid[::-1], algorithm, kept.encrypted_key),
        (SECRET_KEY, kept.kid, "HS256" if algorithm != "HS256" else "EdDSA", kept.encrypted_key),
        *((SECRET_KEY, kept.kid, algorithm, flipped) for flipped in flips),
    ]:
        with pytest.raises(KeyDecryptionError):
            decrypt_key(secret, kid, alg, sealed)


def test_another_secret_key_is_told_and_what_to_do_helps(
    store, restart, setting, flask, ada, caplog, rows
):
    kid = kid_of(ada.tokens.access)
    setting("SECRET_KEY", SECRET_KEY[::-1])
    restart()
    answers = [ada.user(), ada.try_login(), ada.client.get("/readyz"), jwks(ada)]
    answers.append(Caller(ada.client, "bob@example.com").register())
    assert [code(answer) for answer in answers] == ["keys_unreadable"] * 5
    assert len(rows(select(Session.user_id))) == 1  # or each try would make one, and bob exist
    assert {answer.status_code for answer in answers} == {503}
    assert ada.client.get("/healthz").status_code == 200
    assert f"SECRET_KEY does not decrypt the signing key {kid}" in caplog.text
    assert "Traceback" not in caplog.text
    done = flask("keys", "rotate")
    assert (done.exit_code, "cannot decrypt its signing keys" in done.stderr) == (1, True)
    assert json.loads(flask("keys", "list", "--json").stdout)["state"] == "unreadable"
    assert flask("keys", "retire", kid).exit_code == 0
    assert code(ada.try_login()) == 200
    assert ada.client.get("/readyz").status_code == 200


# When the database is away


def test_without_a_database_the_known_keys_serve_for_a_while(app, ring, restart, clock, ada):
    forged = KeyRing([generate_key("EdDSA")]).sign({}, typ="at+jwt")

    def rename(old, new):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    assert ada.user().status_code == 200
    rename("signing_keys", "away")
    try:
        clock()
        assert code(ada.user()) == "migrations_pending"
        assert code(ada.user()) == 200
        assert code(ada.user(forged)) == "token_invalid"
        clock(MAX_STALENESS)
        assert [code(ada.user()) for _ in range(2)] == ["migrations_pending"] * 2
        assert code(jwks(ada)) == "migrations_pending"
        restart()
        assert [code(ada.user()) for _ in range(2)] == ["migrations_pending"] * 2
    finally:
        rename("away", "signing_keys")
    assert code(ada.user()) == 200
