"""The retirement of keys in an emergency."""

import json

import pytest
from sqlalchemy import event, select

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.keys.store import CLOCK_SKEW
from pycoder.models.key import SigningKey
from pycoder.models.session import Session
from tests.support.callers import Caller
from tests.support.keys import code, kid_of, kids

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
