"""Accounts as an operator administers them."""

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import ColumnElement, delete, select, update

from pycoder import audit
from pycoder.accounts.identifiers import trim_identifier
from pycoder.accounts.passwords import check_password_policy, replace_password_hash
from pycoder.accounts.reauthentication import revoke_links_and_proofs
from pycoder.audit import Event
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidInput, NotFound
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.queue import LINK_MAILS, Template
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.ratelimit import lockout
from pycoder.sessions.devices import lockout_keys
from pycoder.sessions.lifecycle import revoke_all_sessions


def find_user(identifier: str) -> User:
    """Return a user by id, e-mail address or username. Raises ``InvalidInput``."""
    identifier = trim_identifier(identifier)
    key = normalize_identifier(identifier)
    condition: ColumnElement[bool] = (User.email_key == key) | (User.username_key == key)
    if re.fullmatch(r"[0-9]{1,18}", identifier):  # digits are always an id
        condition = User.id == int(identifier)
    user = db.session.scalar(select(User).where(condition))
    if user is None:
        raise InvalidInput({"user": ["There is no such account."]})
    return user


def list_users() -> Iterator[User]:
    """Yield all users in the order of their ids, without loading all of them at once."""
    yield from db.session.scalars(select(User).order_by(User.id).execution_options(yield_per=500))


def set_active(user: User, active: bool) -> None:
    """Activate or deactivate an account.

    Deactivation ends all its sessions, links and proofs at once. Raises ``NotFound`` if the account
    no longer exists.
    """
    if not execute_in_transaction(update(User).where(User.id == user.id).values(is_active=active)):
        raise NotFound
    if not active:
        revoke_all_sessions(user.id)
        revoke_links_and_proofs(user)
    event = Event.USER_ACTIVATED if active else Event.USER_DEACTIVATED
    audit.record(event, user_id=user.id)
    db.session.commit()


def set_password(user: User, password: str) -> None:
    """Set a password for an operator, end all sessions, and lift the lockout.

    Raises ``InvalidInput``.
    """
    check_password_policy(password, user.email, user.username)
    keys = lockout_keys(user.id)
    replace_password_hash(user, hash_password(password))
    revoke_all_sessions(user.id)
    audit.record(Event.PASSWORD_SET, user_id=user.id)
    db.session.commit()
    _reset_lockout(keys)


def unlock_user(user: User) -> None:
    """Lift the lockout of an account."""
    _reset_lockout(lockout_keys(user.id))
    audit.record(Event.USER_UNLOCKED, user_id=user.id)
    db.session.commit()


def _reset_lockout(keys: Iterable[str]) -> None:
    for key in keys:
        lockout.reset("login.account", key)


def delete_user(user: User) -> None:
    """Delete an account with its sessions, and mail its owner.

    The mail goes to its address, and to each former address that could undo a change. Queued
    notices are still sent. The audit trail keeps the events of the account, and for 30 days the
    clients of these events. Raises ``NotFound`` if the account no longer exists.
    """
    theirs = User.id == user.id
    if not execute_in_transaction(update(User).where(theirs).values(is_active=False)):  # the lock
        raise NotFound
    audit.record(Event.USER_DELETED, user_id=user.id)
    addresses = [user.email, *(link.email for link in links.undo_links(user.id) if link.email)]
    queue.cancel(user, *LINK_MAILS)
    for address in addresses:
        queue.enqueue(Template.ACCOUNT_DELETED, address, user_id=user.id)
    audit.forget_clients(user.id)
    execute_in_transaction(delete(User).where(theirs))
    db.session.commit()
