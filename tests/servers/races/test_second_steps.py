"""Concurrent second steps of one account, and logins beside a factor that is added."""

from functools import partial

import pytest
from sqlalchemy import func, select, update

from pycoder.extensions import db
from pycoder.models.mfa import RecoveryCode, Totp
from pycoder.models.session import Session
from tests.support.constants import PASSWORD
from tests.support.races import CROWD, at_once, live_sessions_of, of, outcome, tokens_of
from tests.support.second_factors import Authenticator, confirm_address

pytestmark = pytest.mark.untraced  # the server is another process

TICKETS = 5  # as many as an account can have
REFUSED = {"invalid_code", "ticket_invalid"}


class Enrolled:
    """A user with an authenticator app."""

    def __init__(self, api, operator):
        self.api, self.operator, self.person = api, operator, api.register()
        confirm_address(operator, self.person.email)
        self.set_up()
        answer = self.confirm()
        assert answer.status == 200, answer.text
        self.codes = answer.json["recovery_codes"]

    def set_up(self):
        answer = self._call("factors/totp/", {"password": PASSWORD})
        assert answer.status == 200, answer.text
        self.app = Authenticator(answer.json["secret"])

    def confirm(self):
        return self._call("factors/totp/confirm/", {"code": self.app.code()})

    def _call(self, path, body):
        return self.api.call("POST", path, body, self.person.tokens.access)

    def forget_used_codes(self):
        """Make the present code usable, as if half a minute had gone by."""
        with self.operator.app_context():
            db.session.execute(update(Totp).values(last_step=0))
            db.session.commit()

    def tickets(self):
        answers = [self.api.try_login(self.person.email) for _ in range(TICKETS)]
        assert {outcome(answer) for answer in answers} == {"second_factor_required"}
        return [answer.json["ticket"] for answer in answers]

    def step(self, ticket, **factor):
        return self.api.call("POST", "login/second-step/", {"ticket": ticket, **factor})

    def steps_at_once(self, tickets, **factor):
        """Try one factor with all tickets at once; return the outcomes of the failures."""
        calls = [partial(self.step, ticket, **factor) for ticket in tickets]
        answers = at_once(calls * (CROWD // len(calls)))
        [won] = [answer for answer in answers if answer.status == 200]
        assert self.api.user(tokens_of(won).access).status == 200
        return {outcome(answer) for answer in answers if answer.status != 200}


@pytest.fixture
def enrolled(api, operator):
    return Enrolled(api, operator)


def test_of_fifty_uses_of_one_code_exactly_one_signs_in(enrolled, scalar):
    enrolled.forget_used_codes()
    sessions = scalar(live_sessions_of(enrolled.person.email))
    assert enrolled.steps_at_once(enrolled.tickets(), code=enrolled.app.code()) <= REFUSED
    assert scalar(live_sessions_of(enrolled.person.email)) == sessions + 1


def test_of_fifty_uses_of_one_recovery_code_exactly_one_signs_in(enrolled, scalar):
    refused = enrolled.steps_at_once(enrolled.tickets(), recovery_code=enrolled.codes[3])
    assert refused <= REFUSED
    theirs = RecoveryCode.user_id == scalar(select(of_user(enrolled)))
    assert scalar(select(func.count(RecoveryCode.digest)).where(theirs)) == 9


def test_of_fifty_uses_of_one_ticket_exactly_one_signs_in(enrolled):
    enrolled.forget_used_codes()
    assert enrolled.steps_at_once(enrolled.tickets()[:1], code=enrolled.app.code()) <= REFUSED


def test_of_two_confirmations_of_one_app_exactly_one_shows_recovery_codes(api, operator):
    user = Enrolled(api, operator)
    body = {"password": PASSWORD, "code": user.app.code(1)}
    proof = user._call("reauthenticate/", body).json["proof"]
    setup = user._call("factors/totp/", {"proof": proof})
    user.app = Authenticator(setup.json["secret"])
    answers = at_once([user.confirm] * 4)
    [won] = [answer for answer in answers if answer.status == 200]
    assert {outcome(answer) for answer in answers} == {200, "invalid_code"}
    [ticket, *_] = user.tickets()
    assert user.step(ticket, recovery_code=won.json["recovery_codes"][0]).status == 200


def test_no_login_by_the_password_alone_outlives_the_app_that_is_added(api, operator, scalar):
    user = Enrolled.__new__(Enrolled)
    user.api, user.operator, user.person = api, operator, api.register()
    confirm_address(operator, user.person.email)
    user.set_up()
    logins = [partial(api.try_login, user.person.email)] * 10
    confirmed, *answers = at_once([user.confirm, *logins])
    assert confirmed.status == 200
    assert {outcome(answer) for answer in answers} <= {200, "second_factor_required"}
    assert scalar(live_sessions_of(user.person.email)) == 1
    assert api.user(user.person.tokens.access).status == 200


def of_user(enrolled):
    return select(Session.user_id).where(of(enrolled.person.email)).limit(1).scalar_subquery()
