"""Changes of roles while the user's tokens are used and refreshed."""

import threading
import time
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration, roles
from pycoder.models.role import UserRole
from pycoder.models.session import Session
from pycoder.models.user import User
from tests.support.races import at_once, live_sessions_of, outcome, tokens_of
from tests.support.tokens import claims_of

pytestmark = pytest.mark.untraced  # the server is another process

DEVICES = 4


@pytest.fixture
def change(operator):
    """Return a function that grants or revokes a role as ``flask users`` does."""

    def work(action, email, role="editor"):
        with operator.app_context():
            return action(administration.find_user(email), role)

    return work


def test_no_request_that_begins_after_a_revocation_passes_with_the_former_token(api, change):
    person = api.register()
    change(roles.grant_role, person.email)
    access = tokens_of(api.refresh(person.tokens.refresh)).access
    answers, done = [], threading.Event()

    def ask():
        while not done.is_set():
            began = time.monotonic()
            answers.append((began, outcome(api.user(access))))

    def revoke():
        time.sleep(0.2)
        change(roles.revoke_role, person.email)
        revoked = time.monotonic()
        time.sleep(0.3)
        done.set()
        return revoked

    *_, revoked = at_once([ask] * 20 + [revoke])
    before = {said for began, said in answers if began < revoked}
    after = {said for began, said in answers if began >= revoked}
    assert before == {200, "token_expired"} or before == {200}
    assert after == {"token_expired"}


def test_a_change_that_races_with_refreshes_signs_nobody_out(api, change, scalar):
    person = api.register()
    pairs = [api.login(person.email) for _ in range(DEVICES)]

    def refresh(pair):
        for _ in range(10):
            answer = api.refresh(pair.refresh)
            assert outcome(answer) == 200
            pair = tokens_of(answer)
        return pair

    def toggle():
        for _ in range(10):
            assert change(roles.grant_role, person.email)
            assert change(roles.revoke_role, person.email)
        return change(roles.grant_role, person.email)

    *pairs, changed = at_once([*(partial(refresh, pair) for pair in pairs), toggle])
    assert changed
    assert scalar(live_sessions_of(person.email)) == DEVICES + 1
    for pair in pairs:
        renewed = tokens_of(api.refresh(pair.refresh)).access
        assert api.user(renewed).json["roles"] == claims_of(renewed)["roles"] == ["editor"]
        sid, place = claims_of(renewed)["sid"], claims_of(renewed)["status"]["status_list"]["idx"]
        assert scalar(select(Session.status_idx).where(Session.id == UUID(sid))) == place


def test_of_simultaneous_grants_of_one_role_one_is_a_change(api, change, scalar):
    person = api.register()
    granted = at_once([partial(change, roles.grant_role, person.email)] * 8)
    assert sorted(granted) == [False] * 7 + [True]
    theirs = select(func.count(UserRole.role)).join(User, User.id == UserRole.user_id)
    assert scalar(theirs.where(User.email == person.email)) == 1
