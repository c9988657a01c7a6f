"""The first key, the rotation of keys, and the published key set."""

from datetime import timedelta

import pytest
from jwt import InvalidTokenError, PyJWK, PyJWS
from sqlalchemy import select, update

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.keys import rotation
from pycoder.keys.key import generate_key
from pycoder.keys.ring import RELOAD_INTERVAL, KeyRing
from pycoder.keys.store import CLOCK_SKEW, KeyRingCache
from pycoder.models.audit import AuditEvent
from pycoder.models.key import SigningKey
from pycoder.models.session import Session
from tests.support.callers import Tokens
from tests.support.keys import ALGORITHMS, MEMBERS, WEEK, code, jwks, kid_of, kids
from tests.support.tokens import read


def test_a_new_installation_signs_with_ed25519_at_once(store, ada):
    header = read(ada.tokens.access)[0]
    assert header == {"alg": "EdDSA", "kid": header["kid"], "typ": "at+jwt"}
    assert kids(ada) == [header["kid"]]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_signs_what_its_published_key_verifies(store, setting, anyone, algorithm):
    setting("JWT_ALGORITHM", algorithm)
    assert anyone.register().status_code == 201
    assert anyone.user().status_code == 200
    assert anyone.refresh().status_code == 200
    assert read(anyone.tokens.access)[0]["alg"] == algorithm
    assert read(anyone.tokens.refresh)[0]["alg"] == "HS256"
    published = jwks(anyone).json["keys"]
    if algorithm == "HS256":
        assert published == []
        return
    [jwk] = published
    assert jwk.keys() == MEMBERS[algorithm] | {"kid", "alg", "use"}
    assert (jwk["alg"], jwk["use"]) == (algorithm, "sig")
    assert PyJWK(jwk).key_id == kid_of(anyone.tokens.access)
    PyJWS().decode(anyone.tokens.access, PyJWK(jwk).key, algorithms=[algorithm])
    assert kid_of(anyone.tokens.refresh) != jwk["kid"]
    with pytest.raises(InvalidTokenError):
        PyJWS().decode(anyone.tokens.refresh, PyJWK(jwk).key, algorithms=[algorithm])


def test_the_kid_of_a_published_key_is_its_thumbprint(store, ada):
    """By another implementation of RFC 7638."""
    from joserfc.jwk import OKPKey

    [jwk] = jwks(ada).json["keys"]
    assert OKPKey.import_key(jwk).thumbprint() == jwk["kid"]


# Rotation


def test_a_new_key_is_published_before_it_signs_and_the_old_one_until_its_last_token(
    store, rotate, travel, ada, trail
):
    old = ada.tokens
    made = rotate()
    assert made.signs_from - now() == timedelta(seconds=2 * 600 + 2)
    assert kids(ada) == [made.kid, kid_of(old.access)]
    travel(1201)
    assert kid_of(ada.login().access) == kid_of(old.access)
    last = ada.tokens
    travel(1)
    assert kid_of(ada.login().access) == made.kid
    assert code(ada.user(last.access)) == 200
    travel(WEEK - 2)
    assert code(ada.verify(last.refresh)) == 200
    assert kids(ada) == [made.kid, kid_of(old.access)]
    travel(1 + CLOCK_SKEW)
    assert code(ada.verify(last.refresh)) == "token_expired"
    assert code(ada.user(last.access)) == "token_expired"
    travel(1)
    assert kids(ada) == [made.kid]
    assert Event.KEY_ROTATED in trail()


def test_an_expired_token_is_told_so_for_as_long_as_its_session_lives(store, rotate, travel, ada):
    old = ada.tokens.access
    rotate()
    for _ in range(12):
        travel(604_000)
        ada.tokens = Tokens(**ada.refresh().json)
    rotate()
    assert code(ada.user(old)) == "token_expired"
    assert code(ada.user()) == 200


def test_what_is_signed_with_an_old_key_after_its_time_is_refused(app, store, rotate, travel, ada):
    """A thief of an old key cannot make tokens that outlive those which it has signed."""
    old = KeyRingCache()
    with app.app_context():
        thief = old.ring()
    claims = read(ada.tokens.access)[1]
    rotate()
    travel(1202 + WEEK + CLOCK_SKEW)
    late = int(now().timestamp())
    forged = thief.sign(claims | {"iat": late, "exp": late + 600}, typ="at+jwt")
    assert kid_of(forged) == kid_of(ada.tokens.access)
    assert code(ada.user(forged)) == "token_invalid"
    backdated = thief.sign(claims | {"iat": late - 700, "exp": late - 100}, typ="at+jwt")
    assert code(ada.user(backdated)) == "token_expired"


def test_a_clock_that_is_set_back_to_before_a_change_of_keys_signs_nobody_out(
    store, rotate, travel, ada
):
    old, made = kid_of(ada.tokens.access), rotate().kid
    travel(1202)
    tokens = ada.login()
    assert kid_of(tokens.access) == made
    travel(-60)
    assert code(ada.user()) == 200
    assert set(kids(ada)) == {old, made}
    again = ada.refresh().json
    assert kid_of(again["access"]) == old
    travel(60)
    assert (code(ada.user(again["access"])), code(ada.refresh(again["refresh"]))) == (200, 200)


def test_a_refresh_token_is_verified_for_as_long_as_its_key_and_no_longer(
    app, store, rotate, travel, ada
):
    """A thief of the derived secret cannot make tokens that outlive those of its key."""
    with app.app_context():
        thief = KeyRingCache().ring()
    claims = read(ada.tokens.refresh)[1]
    rotate()
    travel(1202 + CLOCK_SKEW)
    late = int(now().timestamp())
    for exp, answer in ((late + WEEK, 200), (late + WEEK + 1, "token_invalid")):
        forged = thief.sign(claims | {"iat": exp - WEEK, "exp": exp}, typ="rt+jwt")
        assert kid_of(forged) == kid_of(ada.tokens.refresh)
        assert code(ada.verify(forged)) == answer


def test_keys_go_when_no_session_can_name_them_any_more(store, rotate, travel, ada, rows):
    first = kid_of(ada.tokens.access)
    second = rotate().kid
    travel(1202 + WEEK + CLOCK_SKEW + 90 * 86_400 - 1)
    assert set(rows(select(SigningKey.kid))) >= {first, second}
    third = rotate().kid
    assert set(rows(select(SigningKey.kid))) == {first, second, third}
    travel(2)
    fourth = rotate().kid
    assert set(rows(select(SigningKey.kid))) == {second, third, fourth}


def test_a_rotation_changes_to_the_algorithm_of_the_settings(store, rotate, travel, setting, ada):
    before = ada.tokens
    setting("JWT_ALGORITHM", "ES256")
    assert rotate().algorithm == "ES256"
    travel(1202)
    assert read(ada.login().access)[0]["alg"] == "ES256"
    assert code(ada.user(before.access)) == 200


def test_a_ring_is_kept_with_its_memory_until_the_keys_change(ring, rotate, clock, ada):
    before = ring()
    assert ada.user().status_code == 200
    remembered = before.verify.cache_info().currsize
    clock()
    assert ring() is before
    assert before.verify.cache_info().currsize == remembered >= 1
    rotate()
    assert ring() is not before
    assert ring().verify.cache_info().currsize == 0
    assert ada.user().status_code == 200


def test_a_process_looks_for_keys_every_two_seconds_and_no_more(app, ring, clock, ada, looks):
    for passed, looked in [(0, 0), (1.5, 0), (0.5, 1), (0, 1)]:
        clock(passed)
        assert ada.user().status_code == 200
        assert len(looks) == looked


def test_unknown_keys_make_a_process_look_but_not_often(ring, clock, ada, looks):
    forged = KeyRing([generate_key("EdDSA")]).sign(read(ada.tokens.access)[1], typ="at+jwt")
    clock(RELOAD_INTERVAL)
    looks.clear()
    for _ in range(20):
        assert code(ada.user(forged)) == "token_invalid"
        clock(RELOAD_INTERVAL / 25)
    assert len(looks) == 1
    assert "WHERE" not in looks[0]  # nothing is looked up by what a token says
    clock(RELOAD_INTERVAL)
    assert code(ada.user(forged)) == "token_invalid"
    assert len(looks) == 2


def test_a_token_of_a_key_that_is_new_is_good_at_once(app, ring, clock, ada):
    with app.app_context():
        rotation.retire(kid_of(ada.tokens.access))
        db.session.execute(update(Session).values(revoked_at=None))
        db.session.commit()
        elsewhere = KeyRingCache().ring()
    clock(RELOAD_INTERVAL)
    token = elsewhere.sign(read(ada.tokens.access)[1], typ="at+jwt")
    assert code(ada.user(token)) == 200


# The door


def test_the_key_set_may_be_kept_and_is_sent_again_only_when_it_has_changed(store, rotate, ada):
    answer = jwks(ada)
    assert answer.headers["Cache-Control"] == "public, max-age=600"
    assert answer.mimetype == "application/json"
    tagged = {"If-None-Match": answer.headers["ETag"]}
    again = ada.client.get("/.well-known/jwks.json", headers=tagged)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "public, max-age=600"
    rotate()
    changed = ada.client.get("/.well-known/jwks.json", headers=tagged)
    assert changed.status_code == 200
    assert len(changed.json["keys"]) == 2


def test_the_key_set_is_kept_for_no_longer_than_a_token_lives(store, setting, ada):
    setting("JWT_ACCESS_TOKEN_EXPIRES", 60)
    assert jwks(ada).headers["Cache-Control"] == "public, max-age=60"


def test_events_of_keys_name_them_and_nobody(store, rotate, ada, rows):
    made = rotate().kid
    [event] = rows(select(AuditEvent).where(AuditEvent.event == Event.KEY_ROTATED))
    assert (event.reason, event.user_id) == (made[:40], None)
