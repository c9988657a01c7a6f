"""Accounts as an operator administers them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select, update

from pycoder import audit
from pycoder.accounts.factors import remove_all_factors
from pycoder.accounts.identifiers import trim_identifier
from pycoder.accounts.passwords import check_password_policy, replace_password_hash
from pycoder.accounts.reauthentication import revoke_links_and_proofs
from pycoder.accounts.roles import lock_account
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidInput, NotFound
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.queue import LINK_MAILS, Template
from pycoder.mfa import factors, pending, recovery_codes
from pycoder.models.device import Device
from pycoder.models.mfa import Passkey, Totp
from pycoder.models.role import UserRole
from pycoder.models.user import User, external_id_digest, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD, hash_password
from pycoder.ratelimit import lockout
from pycoder.sessions.devices import known_origins, lockout_keys
from pycoder.sessions.lifecycle import revoke_all_sessions
from pycoder.sessions.second_step import lift_pauses


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


def list_users(role: str | None = None) -> Iterator[tuple[User, bool]]:
    """Yield all users, or those of a role, in the order of their ids.

    They are not loaded all at once. Each comes with whether it has a second factor.
    """
    listed = select(User, factors.has_factor()).order_by(User.id)
    if role is not None:
        listed = listed.join(UserRole).where(UserRole.role == role)
    yield from db.session.execute(listed.execution_options(yield_per=500))


def set_active(user: User, active: bool) -> None:
    """Activate or deactivate an account.

    Deactivation ends all its sessions, links and proofs at once. Raises ``NotFound`` if the account
    no longer exists.
    """
    lock_account(user)
    switch_active(user, active)
    db.session.commit()


def switch_active(user: User, active: bool) -> None:
    """Activate or deactivate an account in the caller's transaction.

    Its owner is mailed when it is deactivated, and when it is activated without a password: the
    account was mailed no link meanwhile. The caller holds the lock of the account.
    """
    execute_in_transaction(update(User).where(User.id == user.id).values(is_active=active))
    if active and user.password_hash == NO_PASSWORD:
        mail_password_link(user)
    if not active:
        revoke_all_sessions(user.id)
        revoke_links_and_proofs(user)
        queue.enqueue(Template.ACCOUNT_DEACTIVATED, user.email, user_id=user.id)
    event = Event.USER_ACTIVATED if active else Event.USER_DEACTIVATED
    audit.record(event, user_id=user.id)


def mail_password_link(user: User) -> None:
    """Queue the link by which an account without a password gets one.

    Until the address is confirmed, it is an invitation.
    """
    template = Template.PASSWORD_VOIDED if user.email_verified else Template.INVITATION
    queue.enqueue(template, user.email, user_id=user.id)


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
    lift_pauses(user.id, set())


def unlock_user(user: User) -> None:
    """Lift the lockout of an account."""
    _reset_lockout(lockout_keys(user.id))
    lift_pauses(user.id, known_origins(user.id))
    audit.record(Event.USER_UNLOCKED, user_id=user.id)
    db.session.commit()


def _reset_lockout(keys: Iterable[str]) -> None:
    for key in keys:
        lockout.reset("login.account", key)


def has_factor(user: User) -> bool:
    """Return whether an account has a second factor."""
    return bool(factors.methods_of(user.id))


class Factors(NamedTuple):
    """The second factors of an account, and the devices that need none."""

    totp: Totp | None
    recovery_codes_left: int
    passkeys: Sequence[Passkey]
    remembered_devices: Sequence[Device]


def list_factors(user: User) -> Factors:
    """Return the second factors of an account, and its remembered devices."""
    theirs = Device.user_id == user.id
    remembered = select(Device).where(theirs, Device.remembered_until > now())
    passkeys = select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id)
    return Factors(
        db.session.get(Totp, user.id),
        recovery_codes.count_left(user.id),
        db.session.scalars(passkeys).all(),
        db.session.scalars(remembered.order_by(Device.created_at)).all(),
    )


def reset_factors(user: User) -> None:
    """Remove all second factors of an account whose owner has lost them.

    The owner is mailed. Recovery codes and remembered devices go with them. All sessions, proofs
    and half-done logins end, and pauses of the second step are lifted. The password stays. Raises
    ``InvalidInput`` without a factor, and ``NotFound`` if the account no longer exists.
    """
    origins = known_origins(user.id)
    lock_account(user)
    if not has_factor(user):
        raise InvalidInput({"user": ["This account has no second factor."]})
    remove_factors(user)
    db.session.commit()
    lift_pauses(user.id, origins)


def remove_factors(user: User) -> None:
    """Remove the factors of an account in the caller's transaction.

    Its sessions end. Its owner is mailed. The caller holds the lock of the account.
    """
    remove_all_factors(user)
    revoke_all_sessions(user.id)
    pending.revoke(user.id)
    audit.record(Event.FACTORS_RESET, user_id=user.id)
    queue.enqueue(Template.FACTORS_RESET, user.email, user_id=user.id)


def delete_user(user: User) -> None:
    """Delete an account with its sessions, and mail its owner.

    The mail goes to its address, and to each former address that could undo a change. Queued
    notices are still sent. The audit trail keeps the events of the account, and for 30 days the
    clients of these events. Raises ``NotFound`` if the account no longer exists.
    """
    theirs = User.id == user.id
    if not execute_in_transaction(update(User).where(theirs).values(is_active=False)):  # the lock
        raise NotFound
    digest = external_id_digest(user.external_id) if user.external_id else None
    audit.record(Event.USER_DELETED, user_id=user.id, reason=digest)
    addresses = [user.email, *(link.email for link in links.undo_links(user.id) if link.email)]
    queue.cancel(user, *LINK_MAILS)
    for address in addresses:
        queue.enqueue(Template.ACCOUNT_DELETED, address, user_id=user.id)
    audit.forget_clients(user.id)
    execute_in_transaction(delete(User).where(theirs))
    db.session.commit()
