"""What ends the sessions of a user ends the tokens of the platform that were not traded."""

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.models.takeover import AdoptedToken, TakeoverClosed
from tests.support import password_calls
from tests.support.callers import Tokens
from tests.support.emails import change_address, undo, verify
from tests.support.keys import code
from tests.support.parameters import on_sqlite
from tests.support.password_calls import NEW
from tests.support.second_factors import enrol, half, prove, reset_password, second_step
from tests.support.simplejwt import earlier_token, start
from tests.support.tokens import claims_of


class Scene:
    """What an ending needs: the caller, the application, and the fixtures of a test."""

    def __init__(self, app, ada, flask, mails):
        self.app, self.ada, self.flask, self.mails = app, ada, flask, mails

    def command(self, *words, stdin=None):
        done = self.flask("users", *words, stdin=stdin)
        assert done.exit_code == 0, done.output


def undo_change(scene):
    verify(scene.ada, next(mail.token for mail in scene.mails() if "/verify-email" in mail.text))
    token = change_address(scene.ada, "thief@example.org", scene.mails)
    assert undo(scene.ada, token).status_code == 204


def remove_factor(scene):
    enrol(scene.ada, scene.app)
    scene.command("reset-factors", scene.ada.email, "--yes")


def reactivate(scene):
    scene.command("deactivate", scene.ada.email)
    scene.command("activate", scene.ada.email)


ENDINGS = {
    "password change": lambda scene: password_calls.change(scene.ada),
    "password reset": lambda scene: reset_password(scene.ada, scene.mails),
    "set-password": lambda scene: scene.command(
        "set-password", scene.ada.email, "--password-stdin", stdin=NEW
    ),
    "end all others": lambda scene: scene.ada.call("DELETE", "/api/sessions/"),
    "deactivation": lambda scene: scene.command("deactivate", scene.ada.email),
    "deactivation, and activation": reactivate,
    "undone change of address": undo_change,
    "enrolment": lambda scene: enrol(scene.ada, scene.app),
    "reset-factors": remove_factor,
    "deletion": lambda scene: scene.command("delete", scene.ada.email, "--yes"),
}
KEEP_ONE = ("end all others", "enrolment")


@pytest.fixture
def scene(app, ada, flask, mails, takeover):
    return Scene(app, ada, flask, mails)


@on_sqlite
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_token_that_was_not_traded_is_refused_afterwards(scene, ada, token, ending, rows):
    ENDINGS[ending](scene)
    assert code(ada.refresh(token)) == "token_revoked"
    assert rows(select(AdoptedToken.jti)) == []


@on_sqlite
@pytest.mark.parametrize("ending", [name for name in ENDINGS if name not in KEEP_ONE])
def test_a_token_that_was_traded_is_refused_afterwards(scene, ada, token, ending):
    pair = ada.refresh(token).json
    ENDINGS[ending](scene)
    assert code(ada.refresh(token)) == "token_revoked"
    assert code(ada.user(pair["access"])) == "token_revoked"
    assert code(ada.refresh(pair["refresh"])) == "token_revoked"


def test_one_call_closes_one_user(ada, bob, ada_id, token, rows):
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    assert rows(select(TakeoverClosed.user_id)) == [ada_id]


@on_sqlite
def test_a_deactivated_account_is_refused_by_that_name(scene, ada, token, reasons):
    scene.command("deactivate", ada.email)
    assert code(ada.refresh(token)) == "token_revoked"
    assert reasons() == ["deactivated account"]


@on_sqlite
def test_without_a_takeover_nobody_is_closed(ada, rows):
    ada.call("DELETE", "/api/sessions/")
    assert rows(select(func.count(TakeoverClosed.user_id))) == [0]


@on_sqlite
def test_ending_one_session_closes_nobody(ada, token, rows):
    assert ada.logout(access=ada.tokens.access).status_code == 204
    assert rows(select(func.count(TakeoverClosed.user_id))) == [0]
    assert code(ada.refresh(token)) == 200


@on_sqlite
def test_the_session_that_ends_all_others_goes_on(ada, ada_id, token, trail):
    ada.tokens = Tokens(**ada.refresh(token).json)
    other = earlier_token(ada_id)
    assert ada.call("DELETE", "/api/sessions/").status_code == 204
    assert code(ada.refresh(token)) == 200
    assert code(ada.refresh(other)) == "token_revoked"


@on_sqlite
def test_an_account_with_a_factor_is_signed_in_by_no_token_of_the_platform(
    app, ada, ada_id, token, reasons
):
    ada.tokens = Tokens(**ada.refresh(token).json)
    authenticator, _ = enrol(ada, app)
    assert code(ada.refresh(token)) == "token_revoked"
    assert reasons() == ["second factor"]
    assert code(ada.refresh()) == 200  # the session goes on
    assert second_step(ada, half(ada), code=authenticator.code(1)).status_code == 200
    assert code(ada.refresh(earlier_token(ada_id))) == "token_revoked"


@on_sqlite
def test_users_stay_closed_when_a_takeover_is_started_again(ada, token, flask):
    ada.call("DELETE", "/api/sessions/")
    flask("takeover", "stop")
    start(flask, "--key-only")
    assert code(ada.refresh(token)) == "token_revoked"


@on_sqlite
def test_what_was_traded_stays_traded_when_a_takeover_is_started_again(ada, token, flask, trail):
    ada.logout(access=ada.refresh(token).json["access"])
    flask("takeover", "stop")
    start(flask, "--key-only")
    assert code(ada.refresh(token)) == "token_revoked"
    assert trail().count(Event.TOKEN_ADOPTED) == 1


@on_sqlite
def test_a_session_that_was_taken_over_needs_the_password_for_a_change(ada, token):
    ada.tokens = Tokens(**ada.refresh(token).json)
    body = {"email": "ada@example.org"}
    refused = ada.call("POST", "/api/email/change/", json=body)
    assert code(refused) == "insufficient_user_authentication"
    prove(ada)
    assert code(ada.refresh(token)) == 200


@on_sqlite
def test_a_changed_password_makes_the_session_one_by_password(ada, token):
    ada.tokens = Tokens(**ada.refresh(token).json)
    changed = password_calls.change(ada)
    assert changed.status_code == 200
    assert claims_of(changed.json["tokens"]["access"])["amr"] == ["pwd"]
