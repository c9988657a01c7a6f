"""Recent authentication before sensitive operations (RFC 9470)."""

import pytest
from sqlalchemy import select

from pycoder.accounts import administration, emails, profile
from pycoder.accounts import passwords as account_passwords
from pycoder.errors import TokenRevoked
from pycoder.models.mail import OutgoingMail
from pycoder.models.user import User
from pycoder.tokens.jwt import decode_token
from pycoder.tokens.state import load_token_state
from tests.support.callers import Tokens
from tests.support.clocks import later
from tests.support.constants import PASSWORD
from tests.support.password_calls import NEW, WRONG
from tests.support.requests import problem

# --- proof


LATE = {
    "change": lambda session, **kw: account_passwords.change_password(session, NEW, PASSWORD, **kw),
    "move": lambda session, **kw: emails.request_email_change(
        session, "ada@example.org", NEW, **kw
    ),
    "rename": lambda session, **kw: profile.update_profile(session, username="late", **kw),
    "delete": lambda session, **kw: profile.delete_own_account(session, NEW, **kw),
}


@pytest.mark.parametrize("name", LATE)
def test_what_was_let_in_before_its_session_ended_does_nothing_after(name, ada, app, rows):
    with app.app_context():
        session = load_token_state(decode_token(ada.tokens.access))
        administration.set_password(administration.find_user(ada.email), NEW)
        with pytest.raises(TokenRevoked):
            LATE[name](session)
    assert rows(select(User.username)) == ["ada"]
    assert "email_change_asked" not in rows(select(OutgoingMail.template))
    assert ada.try_login(password=NEW).status_code == 200


SENSITIVE = {
    "DELETE /api/user/": {},
    "POST /api/email/change/": {"email": "ada@example.org"},
}


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_sensitive_call_wants_a_fresh_sign_in_or_the_password(name, ada, rows):
    method, path = name.split()
    with later(minutes=6):
        answer = ada.call(method, path, json=SENSITIVE[name])
        assert problem(answer) == (401, "insufficient_user_authentication")
        challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
        assert answer.headers["WWW-Authenticate"] == challenge
        refreshed = Tokens(**ada.refresh().json)
        again = ada.call(method, path, refreshed.access, json=SENSITIVE[name])
        assert again.status_code == 401  # a refresh is no sign-in
        wrong = ada.call(
            method, path, refreshed.access, json={**SENSITIVE[name], "password": WRONG}
        )
        assert problem(wrong) == (400, "invalid_credentials")
        assert rows(select(User.email)) == ["ada@example.com"]
        body = {**SENSITIVE[name], "password": PASSWORD}
        assert ada.call(method, path, refreshed.access, json=body).status_code in (202, 204)


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_sign_in_of_the_last_five_minutes_is_enough(name, ada):
    method, path = name.split()
    wrong = ada.call(method, path, json={**SENSITIVE[name], "password": WRONG})
    assert wrong.status_code == 400
    assert ada.call(method, path, json=SENSITIVE[name]).status_code in (202, 204)
