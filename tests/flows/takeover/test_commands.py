"""The commands that start, describe and stop a takeover, and what remains of it."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete, func, select, update

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.models.session import Session
from pycoder.models.takeover import AdoptedToken, Takeover, TakeoverClosed, TakeoverToken
from tests.support.application import change
from tests.support.clocks import later
from tests.support.constants import SECRET_KEY
from tests.support.forgeries import KEYS
from tests.support.keys import code
from tests.support.parameters import on_sqlite
from tests.support.simplejwt import (
    KEY,
    earlier_token,
    import_list,
    in_days,
    listed,
    start,
)

pytestmark = on_sqlite
TABLES = (Takeover, TakeoverToken, AdoptedToken, TakeoverClosed)


def status(flask):
    return json.loads(flask("takeover", "status", "--json").stdout)


def test_a_takeover_tells_what_it_has_traded_and_refused(ada, ada_id, flask, trail, clock):
    assert start(flask, "--key-only", until=in_days(1)).exit_code == 0
    assert code(ada.refresh(earlier_token(ada_id))) == 200
    clock.shift(timedelta(minutes=1))
    for token in (earlier_token(ada_id), earlier_token(ada_id, aud="shop"), earlier_token(9999)):
        ada.refresh(token)
    found = status(flask)
    assert (found["state"], found["mode"], found["traded"]) == ("runs", "key only", 2)
    assert found["last_traded_at"] == now().isoformat()
    assert found["refused"] == {"audience": 1, "unknown account": 1}
    assert "outstanding" not in found
    assert flask("takeover", "stop").exit_code == 0
    assert status(flask)["state"] == "is over"
    assert [event for event in trail() if event.startswith("takeover")] == [
        Event.TAKEOVER_STARTED,
        Event.TAKEOVER_STOPPED,
    ]


def test_a_takeover_by_list_counts_what_is_outstanding(ada, ada_id, flask):
    tokens = [earlier_token(ada_id) for _ in range(3)]
    import_list(flask, listed(*tokens))
    start(flask)
    assert status(flask)["outstanding"] == 3
    ada.refresh(tokens[0])
    assert (status(flask)["outstanding"], status(flask)["mode"]) == (2, "list")
    assert "outstanding=2  traded=1" in flask("takeover", "status").output


def test_the_key_is_stored_encrypted_and_deleted_at_the_end(flask, app, rows):
    start(flask, "--key-only")
    assert KEY.encode() not in rows(select(Takeover.encrypted_key))[0]
    flask("takeover", "stop")
    assert rows(select(Takeover.encrypted_key)) == [b""]


def test_without_a_list_the_weaker_way_has_to_be_named(flask, ada_id, rows):
    done = start(flask)
    assert (done.exit_code, "--key-only" in done.stderr) == (1, True)
    import_list(flask, listed(earlier_token(ada_id)))
    done = start(flask, "--key-only")
    assert (done.exit_code, "Leave it out" in done.stderr) == (1, True)
    assert rows(select(Takeover.id)) == []
    assert start(flask).exit_code == 0


def public(algorithm):
    form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    return KEYS[algorithm].verification_key.public_bytes(*form).decode()


@pytest.mark.parametrize(
    ("words", "key", "reason"),
    [
        ((), "x" * 31, "at least 32 bytes"),
        ((), SECRET_KEY, "PyCoder's own"),
        ((), "", "no key for HS256"),
        ((), public("EdDSA"), "no key for HS256"),
        (("--algorithm", "RS256"), KEY, "no key for RS256"),
        (("--algorithm", "RS256"), public("EdDSA"), "no key for RS256"),
        (("--algorithm", "EdDSA"), public("RS256"), "no key for EdDSA"),
        (("--algorithm", "EdDSA"), "ours", "PyCoder's own"),
    ],
)
def test_a_key_that_is_weak_or_ours_or_of_another_kind_is_refused(
    app, flask, rows, words, key, reason, signed_by_hand
):
    key = public("EdDSA") if key == "ours" else key
    done = start(flask, "--key-only", *words, key=key)
    assert (done.exit_code, reason in done.stderr) == (1, True), done.output
    assert rows(select(Takeover.id)) == []
    assert key[:20] not in done.output or not key


@pytest.mark.parametrize(
    ("until", "lifetime", "field"),
    [(61, "1d", "until"), (-1, "1d", "until"), (1, "30s", "lifetime"), (1, "366d", "lifetime")],
)
def test_a_takeover_is_bounded(flask, rows, until, lifetime, field):
    done = start(flask, "--key-only", until=in_days(until), lifetime=lifetime)
    assert (done.exit_code, field in done.stderr) == (1, True)
    assert rows(select(Takeover.id)) == []


@pytest.mark.parametrize("lifetime", ["1", "d", "1w", "-1d", "1.5h"])
def test_a_lifetime_has_a_unit(flask, lifetime):
    assert start(flask, "--key-only", lifetime=lifetime).exit_code == 2


def test_a_key_comes_by_standard_input_alone(flask):
    done = flask("takeover", "start", "--until", in_days(1), "--refresh-lifetime", "1d")
    assert (done.exit_code, "--key-stdin" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["status", "stop"])
def test_without_a_takeover_there_is_nothing_to_tell_or_to_stop(flask, command):
    done = flask("takeover", command)
    assert (done.exit_code, done.stderr.startswith("Error: ")) == (1, True)


def test_the_doctor_warns_while_a_takeover_runs(flask, takeover):
    done = flask("doctor")
    assert (done.exit_code, "the key of another platform signs users in" in done.output) == (
        1,
        True,
    )
    flask("takeover", "stop")
    assert flask("doctor").exit_code == 0


def test_a_takeover_that_runs_can_be_corrected(ada, ada_id, flask):
    start(flask, "--key-only", key="x" * 50)
    token = earlier_token(ada_id)
    assert code(ada.refresh(token)) == "token_invalid"
    start(flask, "--key-only")
    assert code(ada.refresh(token)) == 200


def sizes(rows):
    return [rows(select(func.count()).select_from(one))[0] for one in TABLES]


def test_everything_is_pruned_once_all_tokens_have_expired(app, ada, ada_id, flask, rows):
    first, second = earlier_token(ada_id), earlier_token(ada_id)
    import_list(flask, listed(first, second))
    start(flask, until=in_days(2))
    ada.refresh(first)
    ada.call("DELETE", "/api/sessions/")
    with later(hours=20):
        flask("takeover", "stop")
        flask("tokens", "prune")
        assert [rows(select(func.count()).select_from(one)) for one in TABLES] == [
            [1],
            [2],
            [1],
            [1],
        ]
    with later(hours=26):
        flask("tokens", "prune")
        flask("tokens", "prune")
        assert sizes(rows) == [0] * 4


def test_a_restored_backup_trades_nothing(app, ada, ada_id, flask, rows):
    token = earlier_token(ada_id)
    import_list(flask, listed(token))
    start(flask)
    assert code(ada.refresh(token)) == 200
    change(app, delete(AdoptedToken))  # the backup was made before that
    change(app, update(Session).values(revoked_at=None))
    assert flask("restored", "--yes").exit_code == 0
    assert code(ada.refresh(token)) == "token_invalid"
    assert rows(select(TakeoverToken.jti)) == rows(select(Takeover.id)) == []
