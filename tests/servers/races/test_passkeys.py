"""Concurrent uses of passkeys over several workers."""

from functools import partial

import pytest
from sqlalchemy import func, select

from pycoder.models.mfa import Passkey
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.user import User
from tests.support.constants import PASSWORD, SOAK
from tests.support.races import CROWD, at_once, live_sessions_of, outcome, tokens_of
from tests.support.second_factors import confirm_address
from tests.support.soft_authenticator import SoftPasskey

pytestmark = pytest.mark.untraced  # the server is another process


def new_passkey(api):
    return SoftPasskey(origin=f"http://localhost:{api.server.port}")


def begin(api, operator):
    """Register a user, and ask for the options of a first passkey."""
    person = api.register()
    confirm_address(operator, person.email)
    answer = api.call("POST", "passkeys/options/", {"password": PASSWORD}, person.tokens.access)
    assert answer.status == 200, answer.text
    return person, answer.json


def finish(api, person, ceremony, credential):
    body = {"ticket": ceremony["ticket"], "credential": credential}
    return api.call("POST", "passkeys/", body, person.tokens.access)


def enrol(api, operator, counter=0):
    person, ceremony = begin(api, operator)
    passkey = new_passkey(api)
    passkey.counter = counter
    answer = finish(api, person, ceremony, passkey.create(ceremony["publicKey"]))
    assert answer.status == 201, answer.text
    return person, passkey


def sign(api, passkey):
    ceremony = api.call("POST", "login/passkey/options/").json
    return {"ticket": ceremony["ticket"], "credential": passkey.get(ceremony["publicKey"])}


def test_of_fifty_uses_of_one_challenge_one_signs_in(api, operator, scalar):
    for _ in range(SOAK):
        person, passkey = enrol(api, operator)
        before = scalar(live_sessions_of(person.email))
        body = sign(api, passkey)
        answers = at_once([partial(api.call, "POST", "login/passkey/", body)] * CROWD)
        outcomes = sorted(map(str, map(outcome, answers)))
        assert outcomes == ["200"] + ["passkey_invalid"] * (CROWD - 1)
        assert scalar(live_sessions_of(person.email)) == before + 1
        used = select(func.count(PendingAuthentication.digest))
        assert scalar(used.where(PendingAuthentication.kind == "passkey_used")) >= 1


def test_of_fifty_challenges_with_one_counter_one_signs_in(api, operator, scalar):
    person, passkey = enrol(api, operator, counter=1)
    passkey.counter = 2
    bodies = [sign(api, passkey) for _ in range(CROWD)]
    answers = at_once([partial(api.call, "POST", "login/passkey/", body) for body in bodies])
    outcomes = sorted(map(str, map(outcome, answers)))
    assert outcomes == ["200"] + ["passkey_invalid"] * (CROWD - 1)
    assert scalar(select(Passkey.sign_count).where(Passkey.user_id == owner(person))) == 2


def test_of_fifty_registrations_with_one_ticket_one_is_stored(api, operator, scalar):
    person, ceremony = begin(api, operator)
    credentials = [new_passkey(api).create(ceremony["publicKey"]) for _ in range(CROWD)]
    answers = at_once([partial(finish, api, person, ceremony, each) for each in credentials])
    outcomes = sorted(map(str, map(outcome, answers)))
    assert outcomes == ["201"] + ["passkey_invalid"] * (CROWD - 1)
    assert scalar(select(func.count(Passkey.id)).where(Passkey.user_id == owner(person))) == 1


def test_a_login_never_outlives_the_removal_of_its_passkey(api, operator, scalar):
    for _ in range(3 * SOAK):
        person, passkey = enrol(api, operator)
        proof = api.call(
            "POST", "reauthenticate/", {"passkey": sign(api, passkey)}, person.tokens.access
        ).json["proof"]
        own = scalar(select(Passkey.id).where(Passkey.user_id == owner(person)))
        remove = partial(
            api.call, "DELETE", f"passkeys/{own}/", {"proof": proof}, person.tokens.access
        )
        bodies = [sign(api, passkey) for _ in range(10)]
        logins = [partial(api.call, "POST", "login/passkey/", body) for body in bodies]
        *answers, removal = at_once([*logins, remove])
        assert removal.status == 204
        assert {outcome(one) for one in answers} <= {200, "passkey_invalid", "passkey_unknown"}
        for answer in answers:
            if answer.status == 200:
                assert outcome(api.user(tokens_of(answer).access)) == "token_revoked"
        assert scalar(live_sessions_of(person.email)) == 1


def owner(person):
    """Return the id of a user."""
    return select(User.id).where(User.email == person.email).scalar_subquery()
