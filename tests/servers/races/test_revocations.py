"""Sessions in use while they are revoked, and concurrent revocations."""

from functools import partial

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.session import TokenBlocklist
from pycoder.models.user import User
from tests.support.constants import PASSWORD, SOAK
from tests.support.races import (
    BEGINS_ANOTHER,
    DELETES,
    ENDINGS,
    ENDS_THE_OTHER,
    NEW_PASSWORD,
    ROUNDS,
    Ending,
    Use,
    at_once,
    live_sessions_of,
    outcome,
    tokens_of,
)

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.mark.parametrize("name", ENDINGS)
def test_no_use_that_starts_after_the_end_was_acknowledged_succeeds(api, operator, scalar, name):
    for n in range(3 * SOAK):
        person = api.register()
        pair = api.login(person.email)
        ending = Ending(api, operator, person.email, pair, person.tokens)
        use = Use(api, pair)
        late = use.until(partial(ENDINGS[name], ending), refreshes=n % 4 + 1)
        assert set(late) == {"token_revoked"}
        assert {what for _, what in use.log} == {200, "token_revoked"}
        if name == "deactivate":
            ending.as_operator(administration.set_active, True)
        if name in DELETES:  # the same address again does not revive what was
            body = {"email": person.email, "password": PASSWORD}
            assert api.call("POST", "register/", body).status == 201
        for issued in use.issued:
            assert outcome(api.user(issued.access)) == "token_revoked"
        assert outcome(api.refresh(use.issued[-1].refresh)) == "token_revoked"
        rotated = "token_revoked" if name in DELETES else "token_reused"
        for issued in use.issued[:-1]:
            assert outcome(api.refresh(issued.refresh)) == rotated
        survives = 401 if name in ENDS_THE_OTHER else 200
        assert api.user(person.tokens.access).status == survives
        assert api.refresh(person.tokens.refresh).status == survives
        assert scalar(live_sessions_of(person.email)) == (
            name not in ENDS_THE_OTHER or name in BEGINS_ANOTHER
        )


def test_a_password_change_a_logout_and_refreshes_of_one_session_at_once(api, scalar):
    """A logout that was answered stands; a refused change changed nothing.

    The session that a change begins is another one than that which was logged out.
    """
    for _ in range(ROUNDS // 4):
        person = api.register()
        access, refresh = person.tokens
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        change, logout, *refreshes = at_once(
            [
                partial(api.call, "POST", "password/change/", body, access),
                partial(api.logout, access),
                partial(api.refresh, refresh),
                partial(api.refresh, refresh),
            ]
        )
        assert logout.status == 204
        assert outcome(change) in (200, "token_revoked")
        known = [tokens_of(answer) for answer in refreshes if answer.status == 200]
        assert sum(answer.status == 200 for answer in refreshes) <= 1
        for pair in (person.tokens, *known):
            assert outcome(api.user(pair.access)) == "token_revoked"
            assert api.refresh(pair.refresh).status == 401
        changed = change.status == 200
        assert scalar(live_sessions_of(person.email)) == changed
        if changed:
            assert outcome(api.user(tokens_of(change).access)) == 200
        api.login(person.email, NEW_PASSWORD if changed else PASSWORD)


# --- the same revocation from all sides


def test_revoking_one_access_token_from_all_sides_is_no_error(api, scalar):
    person = api.register()
    before = scalar(select(func.count(TokenBlocklist.jti)))
    revoked = select(func.count(AuditEvent.id)).where(
        AuditEvent.event == Event.TOKEN_REVOKED,
        AuditEvent.user_id.in_(select(User.id).where(User.email == person.email)),
    )
    for n in range(1, 5 * SOAK + 1):
        pair = api.login(person.email)
        answers = at_once([partial(api.revoke, pair.access)] * 12)
        assert [outcome(answer) for answer in answers] == [200] * 12
        assert outcome(api.user(pair.access)) == "token_revoked"
        assert api.refresh(pair.refresh).status == 200
        assert scalar(select(func.count(TokenBlocklist.jti))) == before + n
        assert scalar(revoked) == n


def test_logging_out_from_all_sides_is_no_error(api, scalar):
    person = api.register()
    for _ in range(5 * SOAK):
        pair = api.login(person.email)
        answers = at_once([partial(api.logout, *pair)] * 12)
        assert [outcome(answer) for answer in answers] == [204] * 12
        assert outcome(api.user(pair.access)) == "token_revoked"
    assert scalar(live_sessions_of(person.email)) == 1


def test_two_devices_that_log_each_other_out_do_not_wait_for_each_other(api, scalar):
    person = api.register()
    for _ in range(10 * SOAK):
        one, two = api.login(person.email), api.login(person.email)
        calls = [partial(api.logout, one.access, two.refresh)] * 3
        calls += [partial(api.logout, two.access, one.refresh)] * 3
        assert [outcome(answer) for answer in at_once(calls)] == [204] * 6
        assert outcome(api.user(one.access)) == outcome(api.user(two.access)) == "token_revoked"
    assert scalar(live_sessions_of(person.email)) == 1


def test_devices_that_end_each_other_leave_one_at_most(api, scalar):
    for _ in range(5 * SOAK):
        person = api.register()
        pairs = [api.login(person.email) for _ in range(9)] + [person.tokens]
        said = [outcome(a) for a in at_once([partial(api.end_others, p.access) for p in pairs])]
        assert set(said) <= {204, "token_revoked"}
        assert scalar(live_sessions_of(person.email)) == (said.count(204) == 1)
