"""Concurrent refreshes of one token."""

import json
import socket
import time
from functools import partial

import pytest

from tests.support.races import CROWD, KEY, ROUNDS, at_once, live_sessions_of, outcome, tokens_of
from tests.support.tokens import claims_of

pytestmark = pytest.mark.untraced  # the server is another process


# --- fifty refreshes of one token


def test_of_fifty_refreshes_of_one_token_exactly_one_succeeds_and_the_session_is_over(api, scalar):
    person = api.register()
    bystander = api.login(person.email)
    for _ in range(ROUNDS):
        pair = api.login(person.email)
        answers = at_once([partial(api.refresh, pair.refresh)] * CROWD)
        winners = [answer for answer in answers if answer.status == 200]
        assert sorted(map(str, map(outcome, answers))) == ["200"] + ["token_reused"] * (CROWD - 1)
        won = tokens_of(winners[0])
        assert outcome(api.user(pair.access)) == "token_revoked"
        assert outcome(api.user(won.access)) == "token_revoked"
        assert outcome(api.refresh(won.refresh)) == "token_revoked"
        assert outcome(api.refresh(pair.refresh)) == "token_reused"
    assert api.user(bystander.access).status == 200
    assert (
        scalar(live_sessions_of(person.email)) == 2
    )  # the bystander, and the one of the registration


def test_fifty_refreshes_with_one_key_all_succeed_with_one_successor(api):
    person = api.register()
    token = person.tokens.refresh
    for n in range(ROUNDS):
        answers = at_once([partial(api.refresh, token, key=f"{KEY}{n}")] * CROWD)
        assert {outcome(answer) for answer in answers} == {200}
        pairs = [tokens_of(answer) for answer in answers]
        assert len({claims_of(pair.refresh)["jti"] for pair in pairs}) == 1
        assert api.user(pairs[-1].access).status == 200
        token = pairs[n % CROWD].refresh
    assert api.refresh(token).status == 200
    assert outcome(api.refresh(token)) == "token_reused"


def test_a_shared_key_shields_nobody_from_a_crowd_without_it(api):
    person = api.register()
    for _ in range(ROUNDS // 4):
        pair = api.login(person.email)
        keys = [KEY, None, KEY, "another-key", None] * (CROWD // 5)
        answers = at_once([partial(api.refresh, pair.refresh, key=key) for key in keys])
        said = [(key, outcome(answer)) for key, answer in zip(keys, answers, strict=True)]
        pairs = [tokens_of(answer) for answer in answers if answer.status == 200]
        assert len({claims_of(won.refresh)["jti"] for won in pairs}) == 1
        winning_keys = {key for key, what in said if what == 200}
        assert len(winning_keys) == 1
        if winning_keys == {None}:
            assert len(pairs) == 1
        losers = {what for key, what in said if key not in winning_keys}
        assert losers == {"token_reused"}
        with_the_key = {what for key, what in said if key in winning_keys and key}
        assert with_the_key <= {200, "token_revoked"}
        for won in pairs:
            assert outcome(api.user(won.access)) == "token_revoked"
        assert outcome(api.refresh(pairs[0].refresh)) == "token_revoked"


def test_an_answer_that_was_lost_is_given_again(api, server):
    body = json.dumps({"refresh": (pair := api.register().tokens).refresh})
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(
            f"POST /api/token/refresh/ HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    for _ in range(500):
        answer = api.call("POST", "token/verify/", {"token": pair.refresh})
        if answer.status == 401:
            break
        time.sleep(0.01)
    assert outcome(answer) == "token_revoked"  # the server has rotated, and nobody was told
    won = tokens_of(api.refresh(pair.refresh, key=KEY))
    assert api.user(won.access).status == 200
    assert api.refresh(won.refresh).status == 200
