"""Roles: grant and revoke them at once, and keep one administrator."""

from collections.abc import Collection

from sqlalchemy import delete, exists, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import current_client
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, insert_into
from pycoder.errors import FieldError, InvalidInput, LastAdmin, NotFound
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.models.mfa import Passkey
from pycoder.models.role import ADMIN, ROLE_NAME, UserRole, roles_of
from pycoder.models.user import User
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.tokens import status_list

INVALID_ROLE = FieldError(
    "invalid_role",
    "Use at most 40 of a-z, 0-9 and . _ -, and begin with a letter.",
)


def grant_role(user: User, role: str) -> bool:
    """Grant a role to a user for an operator, and return whether it was missing.

    Raises ``InvalidInput``, and ``NotFound`` if the account no longer exists.
    """
    lock_account(user)
    changed = replace_roles(user, {*roles_of(user.id), role})
    db.session.commit()
    return changed


def revoke_role(user: User, role: str) -> bool:
    """Revoke a role of a user for an operator, and return whether there was one.

    An operator may revoke the last administrator. Raises ``NotFound`` if the account no longer
    exists.
    """
    lock_account(user)
    changed = replace_roles(user, {*roles_of(user.id)} - {role})
    db.session.commit()
    return changed


def replace_roles(user: User, roles: Collection[str]) -> bool:
    """Replace the roles of a user in the caller's transaction.

    Return whether any changed. Access tokens with the former roles are refused from the commit on,
    and within a minute by services that read the status lists. No session ends: clients refresh.
    The caller holds ``lock_account``. Raises ``InvalidInput``.
    """
    if not all(map(ROLE_NAME.match, roles)):
        raise InvalidInput({"roles": [INVALID_ROLE]})
    former = roles_of(user.id)
    granted, revoked = sorted({*roles} - {*former}), sorted({*former} - {*roles})
    for role in revoked:
        theirs = (UserRole.user_id == user.id, UserRole.role == role)
        execute_in_transaction(delete(UserRole).where(*theirs))
        audit.record(Event.ROLE_REVOKED, user_id=user.id, reason=role)
    for role in granted:
        row = {"user_id": user.id, "role": role, "granted_at": now()}
        row["granted_by"] = current_client().actor_id
        execute_in_transaction(insert_into(UserRole).values(row))
        audit.record(Event.ROLE_GRANTED, user_id=user.id, reason=role)
    if granted or revoked:
        status_list.replace_indexes(user.id)
    if ADMIN in granted:
        queue.enqueue(Template.ADMIN_GRANTED, user.email, user_id=user.id)
    return bool(granted or revoked)


def lock_account(user: User) -> None:
    """Lock the row of an account, active or not, until the transaction ends.

    Raises ``NotFound`` if the account no longer exists.
    """
    theirs = update(User).where(User.id == user.id)
    if not execute_in_transaction(theirs.values(is_active=User.is_active)):
        raise NotFound


def lock_admins() -> None:
    """Lock the rows of all administrators, in the order of their ids.

    Call it before ``lock_account`` wherever an administrator may cease to be one, so that two of
    them cannot remove each other. On SQLite, an UPDATE that changes nothing is the lock.
    """
    is_admin = User.id.in_(select(UserRole.user_id).where(UserRole.role == ADMIN))
    if db.engine.name == "sqlite":
        execute_in_transaction(update(User).where(is_admin).values(is_active=User.is_active))
    locked = select(User.id).where(is_admin).order_by(User.id)
    db.session.scalars(locked.with_for_update(key_share=True)).all()


def require_other_admin(user_id: int) -> None:
    """Require an active administrator besides a user, under ``lock_admins``.

    One that has no way to sign in, because an invitation was not accepted, does not count. Raises
    ``LastAdmin``.
    """
    with_passkey = exists().where(Passkey.user_id == User.id)
    can_sign_in = User.is_active & ((User.password_hash != NO_PASSWORD) | with_passkey)
    others = select(User.id).join(UserRole).where(UserRole.role == ADMIN, can_sign_in)
    if db.session.scalar(others.where(User.id != user_id).limit(1)) is None:
        raise LastAdmin
