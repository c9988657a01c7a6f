"""What administrators do to the accounts of others, and invitations.

Each action needs the password of the administrator or a proof. It is recorded with ``actor_id``,
which the guard of the admin API has bound, and mailed to the owner of the account.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select

from pycoder import audit
from pycoder.accounts import administration, registration
from pycoder.accounts.directory import describe_user
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    require_reauthentication,
    revoke_links_and_proofs,
)
from pycoder.accounts.roles import lock_admins, replace_roles
from pycoder.audit import Event
from pycoder.errors import Forbidden, NotFound, OwnAccount
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.models.role import ADMIN, roles_of
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.ratelimit import limiter
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import revoke_all_sessions
from pycoder.sessions.second_step import lift_pauses
from pycoder.tokens.state import TokenState


def change_user(
    current: TokenState,
    user_id: int,
    changes: Mapping[str, Any],
    *,
    password: str | None = None,
    proof: str | None = None,
) -> Row[Any]:
    """Change ``is_active`` or ``roles`` of an account, and return it.

    An administrator stays one after changing any other account, so that there is always one.
    Raises ``OwnAccount``, ``InvalidInput``, and what ``_lock_subject`` and
    ``require_reauthentication`` raise.
    """
    if user_id == current.user_id:
        raise OwnAccount
    require_reauthentication(current, password, proof)
    user = _lock_subject(current, proof, user_id)
    active = changes.get("is_active", user.is_active)
    if active != user.is_active:
        administration.switch_active(user, active)
    if "roles" in changes:
        replace_roles(user, changes["roles"])
    db.session.commit()
    return describe_user(user_id)


def end_all_sessions(
    current: TokenState, user_id: int, *, password: str | None = None, proof: str | None = None
) -> None:
    """End every session of an account.

    Raises what ``change_user`` does, but ``OwnAccount``.
    """
    require_reauthentication(current, password, proof)
    user = _lock_subject(current, proof, user_id)
    if revoke_all_sessions(user_id):
        queue.enqueue(Template.SESSIONS_ENDED, user.email, user_id=user_id)
    audit.record(Event.SESSIONS_ALL_ENDED, user_id=user_id)
    db.session.commit()


def reset_factors(
    current: TokenState, user_id: int, *, password: str | None = None, proof: str | None = None
) -> None:
    """Remove all second factors of an account whose owner has lost them.

    All its sessions end, and the password stays. Raises what ``end_all_sessions`` does, and
    ``NotFound`` without a factor, too.
    """
    require_reauthentication(current, password, proof)
    origins = devices.known_origins(user_id)
    user = _lock_subject(current, proof, user_id)
    if not administration.has_factor(user):
        raise NotFound("This account has no second factor.")
    administration.remove_factors(user)
    db.session.commit()
    lift_pauses(user_id, origins)


def void_password(
    current: TokenState, user_id: int, *, password: str | None = None, proof: str | None = None
) -> None:
    """Void the password of an account, and mail its owner a link to set a new one.

    All sessions, links and proofs end, and known devices are forgotten. No administrator learns or
    chooses a password (ASVS 5.0, 6.4.6). An account that was invited, and has no confirmed address
    yet, is sent a new invitation. Raises what ``end_all_sessions`` does, and ``TooManyRequests``.
    """
    require_reauthentication(current, password, proof)
    shown = describe_user(user_id)
    if not (shown.has_password or shown.email_verified):
        _count_invitation(shown.email)
    user = _lock_subject(current, proof, user_id)
    revoke_links_and_proofs(user)
    revoke_all_sessions(user_id)
    devices.forget_devices(user_id)
    if user.password_hash == NO_PASSWORD and not user.email_verified:
        _send_invitation(user)
    else:
        user.password_hash = NO_PASSWORD
        audit.record(Event.PASSWORD_VOIDED, user_id=user_id)
        queue.enqueue(Template.PASSWORD_VOIDED, user.email, user_id=user_id)
    db.session.commit()


def invite_user(
    current: TokenState,
    roles: Sequence[str],
    *,
    password: str | None = None,
    proof: str | None = None,
    **profile: str,
) -> Row[Any]:
    """Invite a user: create an account without a password, and return it.

    Its owner is mailed a link to set one. It does not matter whether registration is open. Raises
    ``InvalidInput`` as a registration does, and what ``end_all_sessions`` does.
    """
    require_reauthentication(current, password, proof)
    _count_invitation(profile["email"])
    user = registration.add_invited_user(**profile)
    _lock_admin(current, proof)
    replace_roles(user, roles)
    _send_invitation(user)
    db.session.commit()
    return describe_user(user.id)


def _count_invitation(email: str) -> None:
    """Count an invitation of an address. Raises ``TooManyRequests``.

    An invitation replaces the link of the one before, so none may be dropped later.
    """
    address = limiter.hash_identifier(normalize_identifier(email))
    limiter.hit("reset.account", f"invitation/{address}")


def _send_invitation(user: User) -> None:
    audit.record(Event.USER_INVITED, user_id=user.id)
    administration.mail_password_link(user)


def _lock_subject(current: TokenState, proof: str | None, user_id: int) -> User:
    """Lock an account that an administrator acts on, and return its state.

    It may be deactivated. Raises ``Forbidden``, ``NotFound``, ``TokenRevoked`` and
    ``ReauthenticationRequired``.
    """
    _lock_admin(current, proof)
    locked = select(User).where(User.id == user_id).with_for_update(key_share=True)
    user = db.session.scalar(locked, execution_options={"populate_existing": True})
    if user is None:
        raise NotFound
    return user


def _lock_admin(current: TokenState, proof: str | None) -> None:
    """Lock all administrators, and require that the current user is still one.

    Of two administrators that act on each other at the same time, the second is refused if the
    first has made it none.
    """
    lock_admins()
    lock_reauthenticated_owner(current, proof)
    if ADMIN not in roles_of(current.user_id):
        raise Forbidden
