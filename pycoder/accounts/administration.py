"""Accounts as an operator administers them."""

import re
from collections.abc import Iterator

from sqlalchemy import ColumnElement, delete, select, update

from pycoder import audit
from pycoder.accounts import passwords as account_passwords
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidInput
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.ratelimit import lockout
from pycoder.sessions import lifecycle


def find_user(identifier: str) -> User:
    """Return the user with this id, e-mail address or username; raises ``InvalidInput``."""
    key = normalize_identifier(identifier)
    named: ColumnElement[bool] = (User.email_key == key) | (User.username_key == key)
    if re.fullmatch(r"[0-9]{1,18}", identifier):  # an id, never a name that looks like one
        named = User.id == int(identifier)
    user = db.session.scalar(select(User).where(named))
    if user is None:
        raise InvalidInput({"user": ["There is no such account."]})
    return user


def list_users() -> Iterator[User]:
    """Yield all users in the order of their ids, without holding all of them in memory."""
    yield from db.session.scalars(select(User).order_by(User.id).execution_options(yield_per=500))


def set_active(user: User, active: bool, *, client: ClientInfo) -> None:
    """Open or close an account; closing it ends all its sessions at once."""
    user.is_active = active
    db.session.flush()
    if not active:
        lifecycle.revoke_all_sessions(user.id)
    event = Event.USER_ACTIVATED if active else Event.USER_DEACTIVATED
    audit.record(event, client, user_id=user.id)
    db.session.commit()


def set_password(user: User, password: str, *, client: ClientInfo) -> None:
    """Replace a password on an operator's word, end all sessions, and lift a pause.

    Raises ``InvalidInput``.
    """
    account_passwords.check_password_policy(password, user.email, user.username)
    account_passwords.replace_password_hash(user, hash_password(password), client)
    lifecycle.revoke_all_sessions(user.id)
    audit.record(Event.PASSWORD_SET, client, user_id=user.id)
    db.session.commit()
    lockout.reset("login.account", str(user.id))


def unlock_user(user: User, *, client: ClientInfo) -> None:
    """Lift the pause that failed logins have earned an account."""
    lockout.reset("login.account", str(user.id))
    audit.record(Event.USER_UNLOCKED, client, user_id=user.id)
    db.session.commit()


def delete_user(user: User, *, client: ClientInfo) -> None:
    """Delete an account with its sessions; the trail keeps what happened and forgets from where."""
    audit.record(Event.USER_DELETED, client, user_id=user.id)
    nowhere = {"ip": None, "user_agent": None, "request_id": None}
    execute_in_transaction(update(AuditEvent).where(AuditEvent.user_id == user.id).values(nowhere))
    execute_in_transaction(delete(User).where(User.id == user.id))
    db.session.commit()
