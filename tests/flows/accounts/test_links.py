"""Links end with the session that asked for them, and with the account's activity."""

import pytest

from pycoder.accounts import administration
from pycoder.extensions import db
from pycoder.sessions import lifecycle
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.emails import LINK_INVALID, move, verify, with_link
from tests.support.password_calls import ask, confirm
from tests.support.requests import problem
from tests.support.tokens import claims_of


@pytest.fixture
def owner(ada, app):
    """The owner of the account of ``ada`` on another device."""
    owner = Caller(app.test_client())
    owner.login()
    return owner


def end_by_id(owner, thief, app):
    sid = claims_of(thief.tokens.access)["sid"]
    assert owner.call("DELETE", f"/api/sessions/{sid}/").status_code == 204


def reuse(owner, thief, app):
    used = thief.tokens.refresh
    thief.refresh(used)
    assert thief.refresh(used).status_code == 401


def by_command(owner, thief, app):
    with app.app_context():
        lifecycle.revoke_all_sessions(administration.find_user("ada").id)
        db.session.commit()


def reactivate(owner, thief, app):
    with app.app_context():
        for active in (False, True):
            administration.set_active(administration.find_user("ada"), active)


ENDINGS = {
    "one session ended": end_by_id,
    "all others ended": lambda owner, thief, app: owner.call("DELETE", "/api/sessions/"),
    "logout": lambda owner, thief, app: thief.logout(access=thief.tokens.access),
    "logout by refresh token": lambda owner, thief, app: thief.logout(refresh=thief.tokens.refresh),
    "revocation": lambda owner, thief, app: thief.revoke(thief.tokens.refresh),
    "reuse": reuse,
    "an operator": by_command,
    "deactivation and activation": reactivate,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_change_of_address_ends_with_the_session_that_asked(name, ada, owner, app, mails):
    mails()
    move(ada, "thief@example.org")
    link = with_link(mails())
    move(ada, "thief@example.net")  # this one is still to be mailed
    ENDINGS[name](owner, ada, app)
    assert problem(verify(ada, link.token)) == LINK_INVALID
    assert [mail for mail in mails() if "#token" in mail.text] == []
    assert owner.try_login().json["user"]["email"] == "ada@example.com"


@pytest.mark.parametrize("name", ENDINGS)
def test_a_mailed_change_of_address_ends_with_it_too(name, ada, owner, app, mails):
    mails()
    move(ada, "thief@example.org")
    link = with_link(mails())
    ENDINGS[name](owner, ada, app)
    assert problem(verify(ada, link.token)) == LINK_INVALID


def test_it_outlives_other_sessions(ada, owner, app, mails):
    mails()
    move(ada, "ada@example.org")
    link = with_link(mails())
    owner.logout(access=owner.tokens.access)
    ada.refresh()
    assert verify(owner, link.token).status_code == 204


def test_it_ends_when_the_session_expires(ada, app, mails, setting):
    setting("JWT_REFRESH_TOKEN_EXPIRES", 3600)
    setting("JWT_ACCESS_TOKEN_EXPIRES", 3600)
    ada.login()
    mails()
    move(ada, "ada@example.org")
    link = with_link(mails())
    with later(hours=1, seconds=1):
        assert problem(verify(ada, link.token)) == LINK_INVALID
    assert verify(ada, link.token).status_code == 204


def test_a_verification_outlives_the_session_of_the_registration(ada, mails):
    [mail] = mails()
    ada.logout(access=ada.tokens.access)
    assert verify(ada, mail.token).status_code == 204


def test_an_activation_revives_no_link(ada, owner, app, mails):
    verification = with_link(mails())
    ask(ada)
    [reset] = mails()
    ask(ada)  # still to be mailed
    reactivate(owner, ada, app)
    assert problem(verify(ada, verification.token)) == LINK_INVALID
    assert problem(confirm(ada, reset.token)) == LINK_INVALID
    assert not any("#token=" in mail.text for mail in mails())
