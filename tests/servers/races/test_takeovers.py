"""Simultaneous trades of one token of the platform."""

from functools import partial

import pytest
from sqlalchemy import func, select

from pycoder.models.session import Session
from pycoder.models.takeover import AdoptedToken
from tests.support.races import (
    CROWD,
    NEW_PASSWORD,
    at_once,
    end_by_change,
    live_sessions_of,
    outcome,
    tokens_of,
)
from tests.support.races import Ending as Scene
from tests.support.simplejwt import earlier_token, start
from tests.support.tokens import claims_of

pytestmark = pytest.mark.untraced  # the server is another process
CLOSINGS = {
    "end all others": lambda scene: scene.api.end_others(scene.other.access),
    "password change": end_by_change,
}


@pytest.fixture(scope="module", autouse=True)
def takeover(operator):
    runner = operator.test_cli_runner()
    done = start(lambda *words, stdin: runner.invoke(args=words, input=stdin), "--key-only")
    assert done.exit_code == 0, done.output


def token_of(person):
    return earlier_token(claims_of(person.tokens.access)["user_id"])


def test_of_fifty_trades_of_one_token_there_is_one_session(api, scalar):
    person = api.register()
    for n in range(1, 4):
        answers = at_once([partial(api.refresh, token_of(person))] * CROWD)
        assert {outcome(answer) for answer in answers} == {200}
        pairs = [tokens_of(answer) for answer in answers]
        assert len({claims_of(pair.refresh)["jti"] for pair in pairs}) == 1
        assert len({claims_of(pair.access)["sid"] for pair in pairs}) == 1
        assert {outcome(api.user(pair.access)) for pair in pairs[:5]} == {200}
        assert api.refresh(pairs[-1].refresh).status == 200
        assert scalar(live_sessions_of(person.email)) == n + 1  # that of the registration


@pytest.mark.parametrize("closing", CLOSINGS)
def test_a_trade_beside_a_closing_leaves_no_session(api, operator, scalar, closing):
    for _ in range(8):
        person = api.register()
        token = token_of(person)
        scene = Scene(api, operator, person.email, person.tokens, person.tokens)
        trades = [partial(api.refresh, token)] * 5
        closed, *answers = at_once([partial(CLOSINGS[closing], scene), *trades])
        assert closed.status in (200, 204)
        for answer in answers:
            if answer.status == 200:
                assert outcome(api.user(tokens_of(answer).access)) == "token_revoked"
        assert outcome(api.refresh(token)) == "token_revoked"
        assert scalar(live_sessions_of(person.email)) == 1


def test_trades_of_many_tokens_are_counted_apart(api, scalar):
    person = api.register()
    tokens = [token_of(person) for _ in range(20)]
    answers = at_once([partial(api.refresh, token) for token in tokens * 2])
    assert {outcome(answer) for answer in answers} == {200}
    taken = (Session.amr == "takeover", Session.revoked_at.is_(None))
    mine = Session.user_id == claims_of(person.tokens.access)["user_id"]
    assert scalar(select(func.count(Session.id)).where(mine, *taken)) == 20
    jtis = {claims_of(token)["jti"] for token in tokens}
    assert scalar(select(func.count(AdoptedToken.jti)).where(AdoptedToken.jti.in_(jtis))) == 20


def test_the_new_password_signs_in_afterwards(api, operator):
    person = api.register()
    scene = Scene(api, operator, person.email, person.tokens, person.tokens)
    at_once([partial(end_by_change, scene), partial(api.refresh, token_of(person))])
    assert api.try_login(person.email, NEW_PASSWORD).status == 200
