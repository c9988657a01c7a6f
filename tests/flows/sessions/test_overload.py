"""Logins and registrations while the hashing pool is full."""

import re

import pytest

from pycoder.errors import Overloaded
from pycoder.passwords.pool import HashingPool
from tests.support.callers import Caller


def test_every_hash_goes_through_the_pool(app, ada, monkeypatch):
    pool = HashingPool(threads=1, waiting=0, patience=5)
    monkeypatch.setitem(app.extensions, "pycoder.hashing", pool)
    assert pool._slots.acquire(blocking=False)
    stranger = Caller(app.test_client(), "nobody@example.com")
    for refused in (ada.try_login(), stranger.try_login(), stranger.register()):
        assert refused.status_code == 503
        assert refused.json["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) > 0
    pool._slots.release()
    assert ada.try_login().status_code == 200
    assert stranger.register().status_code == 201


def test_a_refusal_for_want_of_room_is_no_failed_login(app, ada, monkeypatch):
    full = HashingPool(threads=1, waiting=0, patience=5)
    assert full._slots.acquire(blocking=False)
    with monkeypatch.context() as patched:
        patched.setitem(app.extensions, "pycoder.hashing", full)
        for _ in range(15):
            assert ada.try_login().json["code"] == "overloaded"
    assert ada.try_login().status_code == 200


def test_depth_wait_and_refusals_can_be_watched(ada, app):
    def metric(name):
        text = app.test_client().get("/metrics").text
        return float(re.search(rf"(?m)^{name} (\S+)$", text)[1])

    before = metric("pycoder_hashing_wait_seconds_count")
    ada.login()
    assert metric("pycoder_hashing_wait_seconds_count") == before + 1
    assert metric("pycoder_hashing_depth") == 0
    refused = metric("pycoder_hashing_refused_total")
    full = HashingPool(threads=1, waiting=0, patience=5)
    full._slots.acquire()
    with pytest.raises(Overloaded):
        full.run(lambda: None)
    assert metric("pycoder_hashing_refused_total") == refused + 1


def test_neither_a_taken_address_nor_a_password_that_is_too_long_costs_a_hash(
    app, ada, monkeypatch
):
    full = HashingPool(threads=1, waiting=0, patience=5)
    assert full._slots.acquire(blocking=False)
    monkeypatch.setitem(app.extensions, "pycoder.hashing", full)
    stranger = Caller(app.test_client(), "nobody@example.com")
    assert [caller.register().status_code for caller in (ada, stranger)] == [400, 503]
    for length in (129, 513, 60_000):
        assert stranger.register(password="p" * length).status_code == 400
    for caller in (ada, stranger):
        assert caller.try_login(password="p" * 513).status_code == 400
