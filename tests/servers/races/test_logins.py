"""Concurrent logins beside changes that forbid them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import bcrypt
import pytest
from sqlalchemy import func, select, update

from pycoder.accounts import administration
from pycoder.extensions import db
from pycoder.models.device import Device
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.passwords.hashing import HASH_FORMAT
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, SOAK
from tests.support.races import (
    ENDINGS,
    Ending,
    at_once,
    live_sessions_of,
    logins_around,
    of,
    outcome,
    timed,
    tokens_of,
)
from tests.support.tokens import statuses_in

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.mark.parametrize("name", ["set-password", "deactivate"])
def test_a_login_never_leaves_a_session_that_the_change_should_have_ended(
    api, operator, scalar, name
):
    for n in range(3 * SOAK):
        person = api.register()
        if n % 2:  # racing the upgrade of an old hash too
            store_hash(operator, person.email, old_hash())
        ending = Ending(api, operator, person.email, person.tokens, person.tokens)
        at, old, new = logins_around(
            api,
            person.email,
            partial(ENDINGS[name], ending),
            wanted=partial(
                lambda email, n: scalar(live_sessions_of(email)) > n + 1, person.email, n
            ),
        )
        for logins in (old, new):
            assert {outcome(one.answer) for one in logins} <= {200, "invalid_credentials"}
        assert {outcome(one.answer) for one in old if one.started > at} == {"invalid_credentials"}
        if name == "set-password":
            assert {outcome(one.answer) for one in new if one.started > at} == {200}
        else:
            assert {outcome(one.answer) for one in new} == {"invalid_credentials"}
            ending.as_operator(administration.set_active, True)
        before = [tokens_of(one.answer) for one in old if one.answer.status == 200]
        assert before
        for pair in before:
            assert outcome(api.user(pair.access)) == "token_revoked"
            assert outcome(api.refresh(pair.refresh)) == "token_revoked"
        after = [tokens_of(one.answer) for one in new if one.answer.status == 200]
        assert {api.user(pair.access).status for pair in after} <= {200}
        assert scalar(live_sessions_of(person.email)) == len(after)


def old_hash():
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def store_hash(operator, email, hashed):
    with operator.app_context():
        db.session.execute(update(User).where(User.email == email).values(password_hash=hashed))
        db.session.commit()


def test_ten_logins_onto_an_old_hash_all_succeed_and_leave_one_current_hash(api, operator, scalar):
    for _ in range(5 * SOAK):
        person = api.register()
        store_hash(operator, person.email, old_hash())
        answers = at_once([partial(api.try_login, person.email)] * 10)
        assert [outcome(answer) for answer in answers] == [200] * 10
        hashed = scalar(select(User.password_hash).where(User.email == person.email))
        assert HASH_FORMAT.fullmatch(hashed)
        for answer in answers:
            assert api.user(tokens_of(answer).access).status == 200
        api.login(person.email)
        assert scalar(select(User.password_hash).where(User.email == person.email)) == hashed


def test_a_crowd_of_logins_keeps_the_cap_and_the_newest(api, operator, scalar):
    cap = operator.config["SESSIONS_PER_USER"]
    assert cap == 100
    person = api.register()
    count = cap + 40
    with ThreadPoolExecutor(20) as pool:
        logins = list(pool.map(lambda _: timed(partial(api.try_login, person.email)), range(count)))
    assert {outcome(one.answer) for one in logins} == {200}
    assert scalar(select(func.count(Session.id)).where(of(person.email))) == cap
    user_id = select(User.id).where(User.email == person.email).scalar_subquery()
    assert scalar(select(func.count(Device.digest)).where(Device.user_id == user_id)) == 10
    works = 0
    for login in logins:
        said = outcome(api.user(tokens_of(login.answer).access))
        assert said in (200, "token_revoked")
        works += said == 200
        may_be_newer = sum(one.answered > login.started for one in logins)
        if may_be_newer <= cap:
            assert said == 200
    assert works == cap
    newest = [api.login(person.email) for _ in range(5)]
    for pair in newest:
        assert api.user(pair.access).status == 200
        assert api.refresh(pair.refresh).status == 200
    assert scalar(select(func.count(Session.id)).where(of(person.email))) == cap


def test_everybody_in_a_crowd_gets_in(api):
    people = [api.register() for _ in range(12)]

    def log_in(person):
        body = {"email": person.email, "password": PASSWORD}
        return {outcome(api.call("POST", "login/", body)) for _ in range(25 * SOAK)}

    with ThreadPoolExecutor(12) as pool:
        assert set().union(*pool.map(log_in, people)) == {200}


def test_no_worker_has_a_list_that_refuses_who_signs_in_among_many(api, server):
    def fetch(_=None):
        with ApiConnection(server) as connection:
            return connection.call("GET", "/.well-known/status/0.jwt").text

    people = [api.register() for _ in range(8)]
    lists = [fetch() for _ in range(20)]
    for _ in range(SOAK):
        calls = [partial(api.try_login, person.email) for person in people * 3]
        answers = at_once([*calls, *[fetch] * 8])
        lists += [*answers[len(calls) :], *(fetch() for _ in range(20))]
        tokens = [tokens_of(answer).access for answer in answers[: len(calls)]]
        assert statuses_in(lists, tokens) == {0}
