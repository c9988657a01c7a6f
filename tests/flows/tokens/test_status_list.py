"""Status lists for services that verify tokens themselves, and the claim that refers to them."""

import base64
import math
import re
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, select, update

from pycoder.accounts import administration
from pycoder.clock import now
from pycoder.extensions import db
from pycoder.keys.key import Key
from pycoder.keys.ring import KeyRing, current_ring
from pycoder.keys.store import KeyRingCache
from pycoder.models.session import PendingIndex, Session, StatusCounter
from pycoder.models.user import User
from pycoder.tokens import status_list
from pycoder.tokens.status_list import PATH
from tests.support.application import change
from tests.support.callers import Caller
from tests.support.forgeries import KEY, NOW
from tests.support.refusals import assert_refused_everywhere
from tests.support.tokens import read, statuses_in

VALID, INVALID = 0, 1
MEDIA_TYPE = "application/statuslist+jwt"


@pytest.fixture
def key(app, monkeypatch):
    """A key that others can verify with, in place of the secret."""
    private = ec.generate_private_key(ec.SECP256R1())
    ring = KeyRing([Key("pair", "ES256", private, private.public_key())])
    keeper = KeyRingCache(ring, looked_at=math.inf)
    monkeypatch.setitem(app.extensions, "pycoder.keys", keeper)
    return private.public_key()


@pytest.fixture
def device(app, clock, key):
    """Ada, on a device that gets tokens others can verify."""
    caller = Caller(app.test_client())
    assert caller.register().status_code == 201
    return caller


def place_of(token):
    return read(token)[1]["status"]["status_list"]


def fetch(client, token):
    return client.get(place_of(token)["uri"].removeprefix("http://localhost:8000"))


def said(answer, key):
    assert (answer.status_code, answer.mimetype) == (200, MEDIA_TYPE)
    assert jwt.get_unverified_header(answer.text)["typ"] == "statuslist+jwt"
    return jwt.decode(answer.text, key, ["ES256"], options={"verify_iat": False})


def bits_of(answer, key):
    packed = said(answer, key)["status_list"]["lst"]
    return zlib.decompress(base64.urlsafe_b64decode(packed + "=="))


def status_of(device, token, key):
    """Return what the list says of a token, as a verifier reads it."""
    idx = place_of(token)["idx"]
    return bits_of(fetch(device.client, token), key)[idx // 8] >> idx % 8 & 1


# The claim


def test_the_access_tokens_of_a_session_name_its_place_for_all_its_life(device):
    access, refresh = device.tokens
    assert place_of(access)["uri"] == "http://localhost:8000/.well-known/status/0.jwt"
    renewed = device.refresh().json
    assert place_of(renewed["access"]) == place_of(access)
    assert device.user(renewed["access"]).status_code == 200
    for token in (refresh, renewed["refresh"]):
        assert "status" not in read(token)[1]


def test_every_session_has_a_place_of_its_own(device):
    tokens = [device.tokens, *(device.login() for _ in range(3))]
    assert len({place_of(pair.access)["idx"] for pair in tokens}) == 4


def test_a_place_is_never_given_twice_even_if_its_session_is_gone(app, device):
    first = place_of(device.tokens.access)["idx"]
    with app.app_context():
        administration.delete_user(administration.find_user(device.email))
    assert device.register().status_code == 201
    assert place_of(device.tokens.access)["idx"] > first


def test_without_its_counter_no_place_is_taken_from_a_session_that_has_it(app, device):
    first = place_of(device.tokens.access)["idx"]
    change(app, delete(StatusCounter))
    assert place_of(device.login().access)["idx"] == first + 1


@pytest.mark.parametrize("status", ["missing", None, {}, {"status_list": {"idx": 5}}])
def test_a_token_that_services_can_verify_needs_a_good_status(app, device, status):
    claims = read(device.login().access)[1]
    with app.app_context():
        assert device.user(current_ring().sign(claims, typ="at+jwt")).status_code == 200
        changed = {key: value for key, value in claims.items() if key != "status"}
        changed |= {} if status == "missing" else {"status": status}
        refused = device.user(current_ring().sign(changed, typ="at+jwt"))
    assert (refused.status_code, refused.json["code"]) == (401, "token_invalid")


def test_tokens_that_nobody_else_can_verify_name_no_place(app, ada, monkeypatch):
    keeper = KeyRingCache(KeyRing([KEY]), looked_at=math.inf)
    monkeypatch.setitem(app.extensions, "pycoder.keys", keeper)
    ada.login()
    assert all("status" not in read(token)[1] for token in ada.tokens)
    answer = ada.client.get("/.well-known/status/0.jwt")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


# The list


def test_a_list_says_what_the_draft_asks_for(device, key):
    answer = fetch(device.client, device.tokens.access)
    claims = said(answer, key)
    assert claims.pop("status_list").keys() == {"bits", "lst"}
    uri = place_of(device.tokens.access)["uri"]
    assert claims == {"sub": uri, "iat": NOW, "exp": NOW + 60, "ttl": 30}
    assert len(bits_of(answer, key)) == 65536 / 8


def test_a_list_may_be_kept_by_caches_and_asked_for_again_by_its_etag(device, clock):
    answer = fetch(device.client, device.tokens.access)
    assert answer.headers["Cache-Control"] == "public, max-age=10"
    uri, headers = "/.well-known/status/0.jwt", {"If-None-Match": answer.headers["ETag"]}
    again = device.client.get(uri, headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "public, max-age=10"
    clock.shift(15)
    assert device.client.get(uri, headers=headers).status_code == 200
    assert device.client.head(uri).status_code == 200


def test_only_sessions_that_live_are_valid(device, key):
    tokens = [device.tokens, *(device.login() for _ in range(9))]
    for pair in tokens[::2]:
        device.logout(pair.access)
    bits = bits_of(fetch(device.client, device.tokens.access), key)
    assert sum(byte.bit_count() for byte in bits) == 6  # no session has the index 0
    assert [status_of(device, pair.access, key) for pair in tokens] == [INVALID, VALID] * 5


def by_command(work):
    def end(app, device):
        with app.app_context():
            work(administration.find_user(device.email))

    return end


def from_elsewhere(method, path, **kwargs):
    def end(app, device):
        other = Caller(app.test_client())
        other.login()
        sid = read(device.tokens.access)[1]["sid"]
        answer = other.call(method, path.format(sid), **kwargs)
        assert answer.status_code in (200, 204)

    return end


def reuse(app, device):
    first = device.tokens.refresh
    assert device.refresh(first).status_code == 200
    assert device.refresh(first).json["code"] == "token_reused"


def be_surplus(app, device):
    app.config["SESSIONS_PER_USER"] = 2
    with time_machine.travel(NOW + 1):
        for _ in range(2):
            Caller(app.test_client()).login()


def by_rows(statement):
    return lambda app, device: change(app, statement)


NEW_PASSWORD = {"current_password": Caller("").password, "new_password": "another pass phrase"}
ENDINGS = {
    "logout": lambda app, device: device.logout(device.tokens.access),
    "logout by refresh token": lambda app, device: device.logout(refresh=device.tokens.refresh),
    "revocation": lambda app, device: device.revoke(device.tokens.refresh),
    "the second use of a refresh token": reuse,
    "a list of devices": from_elsewhere("DELETE", "/api/sessions/{}/"),
    "all other devices": from_elsewhere("DELETE", "/api/sessions/"),
    "a new password": from_elsewhere("POST", "/api/password/change/", json=NEW_PASSWORD),
    "deactivation": by_command(lambda user: administration.set_active(user, False)),
    "deletion": by_command(lambda user: administration.delete_user(user)),
    "too many sessions": be_surplus,
    "expiry": by_rows(update(Session).values(expires_at=now() - timedelta(days=9999))),
    "a user who is not active": by_rows(update(User).values(is_active=False)),
    "a row that is gone": by_rows(delete(Session)),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_a_session_that_is_over_is_invalid_as_soon_as_its_list_is_built_anew(
    app, device, clock, key, setting, end
):
    setting("SESSIONS_PER_USER", 100)
    access = device.tokens.access
    assert status_of(device, access, key) == VALID
    end(app, device)
    clock.shift(15)
    assert status_of(device, access, key) == INVALID


def test_a_change_of_roles_makes_former_tokens_invalid_and_new_ones_valid(
    app, device, clock, key, flask
):
    former, other = device.tokens.access, Caller(app.test_client())
    other.login()
    assert flask("users", "grant", "ada", "editor").exit_code == 0
    clock.shift(15)
    for caller, access in ((device, former), (other, other.tokens.access)):
        assert status_of(caller, access, key) == INVALID
        assert status_of(caller, caller.refresh().json["access"], key) == VALID
    clock.shift(15)
    assert status_of(device, device.login().access, key) == VALID


def test_who_fetched_just_before_a_logout_refuses_within_a_minute(device, clock, key):
    """A list is served 15 s, kept by caches 10 s and by a verifier 30 s; it ends after 60 s."""
    access = device.tokens.access
    assert status_of(device, access, key) == VALID
    device.logout(access)
    clock.shift(14)
    last = fetch(device.client, access)  # of those that do not know of the logout
    max_age = int(re.fullmatch(r"public, max-age=(\d+)", last.headers["Cache-Control"])[1])
    assert 14 + max_age + said(last, key)["ttl"] < 60
    assert said(last, key)["exp"] == NOW + 60
    clock.shift(1)
    assert status_of(device, access, key) == INVALID


def test_a_session_that_has_just_begun_is_valid_in_a_list_from_before(app, clock, key):
    client = app.test_client()
    lists = {number: bits_of(client.get(PATH.format(number)), key) for number in (0, 1)}
    caller = Caller(client)
    assert caller.register().status_code == 201
    for last in (40_000, 65_534, 65_535):
        change(app, update(StatusCounter).values(last=last))
        place = place_of(caller.login().access)
        bits = lists[int(place["uri"].removesuffix(".jwt")[-1])]
        assert bits[place["idx"] // 8] >> place["idx"] % 8 & 1 == VALID


def test_a_session_is_valid_in_a_list_that_was_built_while_it_began(app, device, key):
    """Registrations hash a password between the allocation of the index and the commit."""
    with app.app_context():
        idx = status_list.allocate_index()
    bits = bits_of(fetch(device.client, device.tokens.access), key)
    assert bits[idx // 8] >> idx % 8 & 1 == VALID


def test_no_list_that_is_built_among_many_sign_ins_refuses_one_of_them(app, key, no_limits):
    def sign_in(n):
        caller = Caller(app.test_client(), f"guest{n}@example.com")
        assert caller.register().status_code == 201
        return [caller.tokens.access, *(caller.login().access for _ in range(2))]

    lists, client = [], app.test_client()
    with ThreadPoolExecutor(4) as pool:
        guests = [pool.submit(sign_in, n) for n in range(6)]
        while wait(guests, timeout=0.01).not_done:
            status_list._build_token.cache_clear()
            lists.append(client.get(PATH.format(0)).text)
    tokens = [access for guest in guests for access in guest.result()]
    assert statuses_in(lists, tokens) == {VALID}


def test_a_session_leaves_no_index_pending(app, device, rows):
    assert device.login()
    assert rows(select(PendingIndex.idx)) == []


def test_an_index_that_was_never_used_is_over_after_an_hour(app, device, clock, key, rows):
    with app.app_context():
        idx = status_list.allocate_index()
    clock.shift(3599)
    device.login()
    assert rows(select(PendingIndex.idx)) == [idx]
    clock.shift(1)
    access = device.login().access
    assert rows(select(PendingIndex.idx)) == []
    assert bits_of(fetch(device.client, access), key)[idx // 8] >> idx % 8 & 1 == INVALID


def test_a_list_from_before_the_clock_was_set_back_is_built_anew(device, clock, key, monkeypatch):
    access = device.tokens.access
    assert status_of(device, access, key) == VALID
    device.logout(access)
    a_minute_later = status_list.monotonic() + 60
    monkeypatch.setattr(status_list, "monotonic", lambda: a_minute_later)
    assert status_of(device, access, key) == INVALID


def test_a_list_is_followed_by_the_next_one(app, device, key):
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(update(StatusCounter).values(last=2 * 65536 - 3))
    pairs = [device.login() for _ in range(4)]
    places = [(place["uri"][-5], place["idx"]) for place in (place_of(p.access) for p in pairs)]
    assert places == [("1", 65534), ("1", 65535), ("2", 0), ("2", 1)]
    device.logout(pairs[0].access)
    device.logout(pairs[3].access)
    statuses = [status_of(device, pair.access, key) for pair in pairs]
    assert statuses == [INVALID, VALID, VALID, INVALID]


@pytest.mark.parametrize(
    "number", ["2", "99", "9" * 30, "9" * 5000, "-1", "x", "0.5", "", "00", "01", "+0", "０", "٠"]
)
def test_a_list_that_is_not_there_is_not_found(device, number):
    answer = device.client.get(f"/.well-known/status/{number}.jwt")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_the_next_list_is_there_before_a_session_needs_it(app, key):
    client = app.test_client()
    statuses = [client.get(PATH.format(number)).status_code for number in range(3)]
    assert statuses == [200, 200, 404]


def test_a_list_is_no_token_of_a_session(device):
    token = fetch(device.client, device.tokens.access).text
    assert_refused_everywhere(device.client, token)
    assert device.user().status_code == 200


def test_who_would_wait_too_long_for_a_list_is_told_so(device):
    with status_list._building:
        answer = fetch(device.client, device.tokens.access)
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert answer.headers["Cache-Control"] == "no-store"
    assert fetch(device.client, device.tokens.access).status_code == 200
