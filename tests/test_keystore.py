"""Where keys are kept: sealed, agreed upon, followed by all, and ended when their time is over."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt import PyJWK, PyJWS
from sqlalchemy import delete, event, insert, select, text, update

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.keys import rotation
from pycoder.keys import store as keys_store
from pycoder.keys.key import KeyDecryptionError, decrypt_key, encrypt_key, generate_key
from pycoder.keys.ring import RELOAD_INTERVAL, KeyRing, current_ring
from pycoder.keys.store import CLOCK_SKEW, MAX_STALENESS, REFRESH_INTERVAL, KeyRingCache
from pycoder.models.audit import AuditEvent
from pycoder.models.key import SigningKey
from pycoder.models.session import Session
from tests.callers import SECRET_KEY, Caller, Tokens
from tests.test_tokens import read

ALGORITHMS = ["EdDSA", "ES256", "RS256", "HS256"]
MEMBERS = {
    "EdDSA": {"kty", "crv", "x"},
    "ES256": {"kty", "crv", "x", "y"},
    "RS256": {"kty", "n", "e"},
}
WEEK = 604_800


@pytest.fixture
def clock(monkeypatch):
    """The time by which a process judges the age of its ring: it moves when the test says so."""
    clock = [1000.0]
    monkeypatch.setattr(keys_store, "monotonic", lambda: clock[0])
    monkeypatch.setattr(keys_store, "PROPAGATION_DELAY", 0)  # commands wait for nobody

    def pass_by(seconds=REFRESH_INTERVAL):
        clock[0] += seconds

    return pass_by


@pytest.fixture
def restart(app, monkeypatch):
    """Return a function that has this process forget which keys there are."""
    return lambda: monkeypatch.setitem(app.extensions, "pycoder.keys", KeyRingCache())


@pytest.fixture
def store(app, clock, restart):
    """Return a function that stores rows, by default none; what was there comes back at the end."""
    with app.app_context(), db.engine.connect() as connection:
        was = [dict(row) for row in connection.execute(select(SigningKey.__table__)).mappings()]

    def put(*rows):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(delete(SigningKey))
            for row in rows:
                connection.execute(insert(SigningKey), row)
        restart()

    put()
    yield put
    put(*was)


@pytest.fixture
def ring(app, store):
    """Return a function that returns the ring in force after a while."""

    def current():
        with app.app_context():
            return current_ring()

    return current


@pytest.fixture
def rotate(app, clock, store):
    """Return a function that rotates, and sees to it that this process knows."""

    def rotate():
        with app.app_context():
            made = rotation.rotate()
        clock()
        return made

    return rotate


@pytest.fixture
def travel():
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=1), tick=False) as traveller:
        yield lambda seconds: traveller.shift(timedelta(seconds=seconds))


def jwks(caller):
    return caller.client.get("/.well-known/jwks.json")


def kids(caller):
    return [jwk["kid"] for jwk in jwks(caller).json["keys"]]


def kid_of(token):
    return read(token)[0]["kid"]


def code(answer):
    return answer.status_code if answer.status_code < 400 else answer.json["code"]


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
    published = jwks(anyone).json["keys"]
    if algorithm == "HS256":
        assert published == []
        return
    [jwk] = published
    assert jwk.keys() == MEMBERS[algorithm] | {"kid", "alg", "use"}
    assert (jwk["alg"], jwk["use"]) == (algorithm, "sig")
    assert PyJWK(jwk).key_id == kid_of(anyone.tokens.access)
    PyJWS().decode(anyone.tokens.access, PyJWK(jwk).key, algorithms=[algorithm])


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
    remembered = before.open.cache_info().currsize
    clock()
    assert ring() is before
    assert before.open.cache_info().currsize == remembered >= 1
    rotate()
    assert ring() is not before
    assert ring().open.cache_info().currsize == 0
    assert ada.user().status_code == 200


def test_a_process_looks_for_keys_every_two_seconds_and_no_more(app, ring, clock, ada, looks):
    for passed, looked in [(0, 0), (1.5, 0), (0.5, 1), (0, 1)]:
        clock(passed)
        assert ada.user().status_code == 200
        assert len(looks) == looked


@pytest.fixture
def looks(app, store, ring):
    """The statements that have read the keys since now."""
    ring()
    with app.app_context():
        engine = db.engines["autocommit"]
    seen = []

    def note(connection, cursor, statement, *_):
        if "signing_keys" in statement:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


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


# Emergency


def test_retiring_the_key_that_signs_ends_all_that_it_signed(app, store, flask, clock, ada, bob):
    kid = kid_of(ada.tokens.access)
    done = flask("keys", "retire", kid, "--json")
    assert json.loads(done.stdout) == {"retired": kid, "sessions_ended": 2, "jwks_kept_for": 600}
    clock()
    for caller in (ada, bob):
        assert code(caller.user()) == "token_invalid"
        assert code(caller.refresh()) == "token_invalid"
    assert kid not in kids(ada)
    assert kid_of(ada.login().access) in kids(ada)
    assert ada.user().status_code == 200


def test_retiring_a_key_leaves_sessions_alone_that_it_never_signed_for(
    app, store, flask, rotate, travel, clock, ada, bob, rows, trail
):
    old, made = kid_of(ada.tokens.access), rotate().kid
    travel(1202 + CLOCK_SKEW + 300)
    assert bob.refresh().status_code == 200  # signed by both
    carol = Caller(ada.client, "carol@example.com")
    assert carol.register().status_code == 201
    assert flask("keys", "retire", made).exit_code == 0
    clock()
    assert code(carol.user()) == "token_invalid"
    assert code(ada.refresh()) == 200
    ended = rows(select(Session.user_id).where(Session.revoked_at.is_not(None)))
    assert len(ended) == 2
    assert trail()[-2:] == [Event.KEY_RETIRED, Event.KEY_CREATED]
    assert kid_of(carol.login().access) not in (old, made)


def test_retiring_an_old_key_ends_what_began_under_it(
    store, flask, rotate, travel, clock, ada, bob, trail
):
    old = kid_of(ada.tokens.access)
    made = rotate().kid
    travel(1202 + CLOCK_SKEW + 1)
    assert ada.refresh().status_code == 200
    carol = Caller(ada.client, "carol@example.com")
    assert carol.register().status_code == 201
    assert flask("keys", "retire", old).exit_code == 0
    clock()
    assert code(bob.refresh()) == "token_invalid"
    assert code(carol.user()) == 200
    assert kids(ada) == [made]
    assert trail()[-1] == Event.KEY_RETIRED


@pytest.mark.parametrize("made_since", [1, 2])
def test_a_key_that_is_over_stays_over_when_the_one_after_it_is_retired(
    app, store, flask, rotate, travel, clock, ada, bob, made_since
):
    old, next_one = ada.tokens.access, rotate().kid
    lasts = app.config["JWT_REFRESH_TOKEN_EXPIRES"] + 1202 + CLOCK_SKEW + 1
    for _ in range(made_since - 1):
        travel(1202 + CLOCK_SKEW + 1)
        rotate()
    travel(lasts)
    bob.login()
    clock()
    assert kid_of(old) not in kids(ada)
    before = flask("keys", "list", "--json").stdout.splitlines()[-1]
    assert flask("keys", "retire", next_one).exit_code == 0
    clock()
    after = flask("keys", "list", "--json").stdout.splitlines()
    assert (after[-1], json.loads(after[0])["state"]) == (before, "signs")
    assert (json.loads(before)["kid"], json.loads(before)["state"]) == (kid_of(old), "is over")
    assert kid_of(old) not in kids(ada)
    assert code(bob.user()) == ("token_invalid" if made_since == 1 else 200)


def test_a_key_whose_time_has_not_come_leaves_none_to_the_one_after_it(
    store, flask, rotate, clock, ada
):
    next_one, later = rotate().kid, rotate()
    assert flask("keys", "retire", next_one).exit_code == 0
    clock()
    listed = json.loads(flask("keys", "list", "--json").stdout.splitlines()[0])
    assert (listed["kid"], listed["state"]) == (later.kid, "is published")
    assert kid_of(ada.login().access) == kid_of(ada.tokens.access) != later.kid


@pytest.mark.parametrize("kid", ["nonsense", "-nonsense", "--nonsense", "-"])
def test_an_unknown_key_cannot_be_retired(store, flask, ada, rows, kid):
    done = flask("keys", "retire", kid)
    assert (done.exit_code, "There is no such key." in done.stderr) == (1, True)
    assert len(rows(select(SigningKey.kid))) == 1
    assert ada.user().status_code == 200


def test_of_two_who_retire_a_key_at_once_one_does(app, store, flask, clock, ada, rows, trail):
    kid = kid_of(ada.tokens.access)
    with app.app_context():

        @event.listens_for(db.engines["autocommit"], "checkin", once=True)
        def when_the_other_has_read_the_keys(*_):
            assert flask("keys", "retire", kid).exit_code == 0

        done = flask("keys", "retire", kid)
    assert (done.exit_code, "There is no such key." in done.stderr) == (1, True)
    clock()
    assert [kid_of(ada.login().access)] == rows(select(SigningKey.kid))
    assert trail().count(Event.KEY_RETIRED) == 1


def test_keys_are_listed_with_what_they_do(store, flask, rotate, clock, ada):
    old, made = kid_of(ada.tokens.access), rotate().kid
    listed = [json.loads(line) for line in flask("keys", "list", "--json").stdout.splitlines()]
    assert [(key["kid"], key["state"]) for key in listed] == [
        (made, "is published"),
        (old, "signs"),
    ]
    assert "verifies_until" in listed[1]
    again = json.loads(flask("keys", "rotate", "--json").stdout)
    clock()
    assert again["made"] in kids(ada)


# At rest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_stored_of_a_key_gives_it_away_to_nobody(app, store, setting, ring, algorithm):
    setting("JWT_ALGORITHM", algorithm)
    ring()
    with app.app_context():
        [kept] = keys_store.load_stored_keys()
        private = kept.opened().signs_with
    if algorithm != "HS256":
        private = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert not any(private[i : i + 8] in kept.sealed for i in range(len(private) - 7))
    flips = [
        kept.sealed[:i] + bytes([kept.sealed[i] ^ 1]) + kept.sealed[i + 1 :] for i in (0, 12, -1)
    ]
    for secret, kid, alg, sealed in [
        (SECRET_KEY + "x", kept.kid, algorithm, kept.sealed),
        (SECRET_KEY, kept.kid[::-1], algorithm, kept.sealed),
        (SECRET_KEY, kept.kid, "HS256" if algorithm != "HS256" else "EdDSA", kept.sealed),
        *((SECRET_KEY, kept.kid, algorithm, flipped) for flipped in flips),
    ]:
        with pytest.raises(KeyDecryptionError):
            decrypt_key(secret, kid, alg, sealed)


def test_two_seals_of_one_key_have_nothing_in_common():
    key = generate_key("EdDSA")
    assert encrypt_key(SECRET_KEY, key)[:12] != encrypt_key(SECRET_KEY, key)[:12]


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
    assert f"SECRET_KEY does not open the signing key {kid}" in caplog.text
    assert "Traceback" not in caplog.text
    done = flask("keys", "rotate")
    assert (done.exit_code, "signing keys cannot be opened" in done.stderr) == (1, True)
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
        assert code(ada.user()) == "database_unavailable"
        assert code(ada.user()) == 200
        assert code(ada.user(forged)) == "token_invalid"
        clock(MAX_STALENESS)
        assert [code(ada.user()) for _ in range(2)] == ["database_unavailable"] * 2
        assert code(jwks(ada)) == "database_unavailable"
        restart()
        assert [code(ada.user()) for _ in range(2)] == ["database_unavailable"] * 2
    finally:
        rename("away", "signing_keys")
    assert code(ada.user()) == 200


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
