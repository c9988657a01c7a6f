"""An account that changes while the password of a login is being verified."""

import bcrypt
import pytest
from sqlalchemy import delete, func, select, update

from pycoder.extensions import db
from pycoder.models.session import Session
from pycoder.models.user import User
from pycoder.passwords.hashing import hash_password
from tests.support.constants import PASSWORD


@pytest.fixture
def meanwhile(app, monkeypatch):
    """Return a function that runs a statement once, while the next password is verified."""
    hashpw = bcrypt.hashpw

    def run(statement):
        left = [statement]

        def verify(*given):
            if left:
                with app.app_context(), db.engines["autocommit"].connect() as connection:
                    connection.execute(left.pop())
            return hashpw(*given)

        monkeypatch.setattr(bcrypt, "hashpw", verify)

    return run


def hashed(app, password):
    with app.app_context():
        return hash_password(password)


def test_a_password_that_changes_meanwhile_decides(app, ada, meanwhile, rows):
    other = hashed(app, "another long pass phrase")
    before = rows(select(func.count(Session.id)))
    meanwhile(update(User).values(password_hash=other))
    answer = ada.try_login()
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_credentials")
    assert rows(select(func.count(Session.id))) == before


def test_a_new_hash_of_the_same_password_is_verified_again(app, ada, meanwhile):
    meanwhile(update(User).values(password_hash=hashed(app, PASSWORD)))
    assert ada.try_login().status_code == 200
    assert ada.user().status_code == 200


@pytest.mark.parametrize("change", [update(User).values(is_active=False), delete(User)])
def test_an_account_that_is_closed_meanwhile_gets_no_session(ada, meanwhile, rows, change):
    meanwhile(change)
    answer = ada.try_login()
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_credentials")
    live = select(func.count(Session.id)).where(Session.revoked_at.is_(None))
    assert rows(live)[0] <= 1  # the one from before
