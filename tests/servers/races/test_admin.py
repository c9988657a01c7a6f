"""Administrators that act on each other at the same time."""

from functools import partial

import pytest
from sqlalchemy import func, select

from pycoder.accounts import administration, roles
from pycoder.models.audit import AuditEvent
from pycoder.models.role import UserRole
from pycoder.models.user import User
from tests.support.constants import PASSWORD
from tests.support.races import at_once, outcome

pytestmark = pytest.mark.untraced  # the server is another process

ROUNDS = 6
ADMINS = select(func.count(User.id)).join(UserRole).where(UserRole.role == "admin", User.is_active)


@pytest.fixture
def new_admin(api, operator):
    """Return a function that makes an administrator, and returns the id and an access token."""

    def make():
        person = api.register()
        with operator.app_context():
            user = administration.find_user(person.email)
            roles.grant_role(user, "admin")
            user_id = user.id
        return user_id, api.login(person.email).access

    return make


@pytest.fixture
def others_retired(operator):
    """Take the role from all administrators, so that a test begins with its own."""

    def retire():
        with operator.app_context():
            for user, _ in list(administration.list_users("admin")):
                roles.revoke_role(user, "admin")

    retire()
    yield retire
    retire()


@pytest.mark.parametrize("change", [{"roles": []}, {"is_active": False}])
def test_of_two_administrators_that_demote_each_other_one_stays(
    change, api, new_admin, others_retired, scalar
):
    for _ in range(ROUNDS):
        others_retired()
        pair = new_admin(), new_admin()
        calls = [
            partial(
                api.call,
                *("PATCH", f"admin/users/{subject}/", {**change, "password": PASSWORD}),
                access=access,
            )
            for (_, access), (subject, _) in (pair, pair[::-1])
        ]
        answers = [outcome(answer) for answer in at_once(calls)]
        assert answers.count(200) == 1, answers
        assert set(answers) - {200} <= {"forbidden", "token_expired", "token_revoked"}
        assert scalar(ADMINS) == 1


def test_of_two_administrators_that_delete_themselves_one_stays(
    api, new_admin, others_retired, scalar
):
    for _ in range(ROUNDS):
        others_retired()
        pair = new_admin(), new_admin()
        calls = [
            partial(api.call, "DELETE", "user/", {"password": PASSWORD}, access=access)
            for _, access in pair
        ]
        assert sorted(map(str, (outcome(answer) for answer in at_once(calls)))) == [
            "204",
            "last_admin",
        ]
        assert scalar(ADMINS) == 1


def test_simultaneous_invitations_of_one_address_make_one_account(
    api, new_admin, others_retired, scalar
):
    _, access = new_admin()
    body = {"email": "invited@example.com", "roles": ["editor"], "password": PASSWORD}
    answers = at_once([partial(api.call, "POST", "admin/users/", body, access=access)] * 6)
    assert sorted(map(str, map(outcome, answers))) == ["201"] + ["validation_error"] * 5
    account = select(User.id).where(User.email == body["email"]).scalar_subquery()
    recorded = select(func.count(AuditEvent.id)).where(
        AuditEvent.user_id == account, AuditEvent.event == "user.invited"
    )
    assert scalar(recorded) == 1
