"""Passwords of accounts: change, and reset by a mailed link."""

from collections.abc import Callable

from sqlalchemy import update

from pycoder import audit
from pycoder.accounts.identifiers import normalize_email
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    require_reauthentication,
    revoke_links_and_proofs,
)
from pycoder.audit import Event
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidInput, LinkInvalid, NotFound, TooManyRequests
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.mfa import factors
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.passwords.policy import policy_violations
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import create_session, revoke_all_sessions
from pycoder.sessions.second_step import lift_pauses, lift_pauses_after_reset
from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import TokenState


def change_password(
    current: TokenState, new: str, *, password: str | None = None, proof: str | None = None
) -> TokenPair:
    """Change the password of the current user, and return the pair of a new session.

    Every session from before ends, the current one included, so that no token from before the
    change is valid. Of two simultaneous changes, one succeeds. Raises ``InvalidInput``,
    ``TokenRevoked``, and what ``require_reauthentication`` raises.
    """
    check_password_policy(new, current.user.email, current.user.username, field="new_password")
    require_reauthentication(current, password, proof)
    password_hash = hash_password(new)
    current_ring()  # fails before there is a session for which no token can be signed
    status_idx = status_list.allocate_index()  # in a transaction of its own, before this one writes
    user = lock_reauthenticated_owner(current, proof)
    replace_password_hash(user, password_hash)
    revoke_all_sessions(user.id)
    amr = factors.PASSWORD if proof is None else current.amr
    session = create_session(user.id, status_idx, current.transport, amr)
    if proof is not None:  # the user authenticated when it was created
        session.authenticated_at = current.authenticated_at
    audit.record(Event.PASSWORD_CHANGED, user_id=user.id, session_id=session.id)
    db.session.commit()
    lift_pauses(user.id, set())
    return issue_tokens(session)


def request_password_reset(email: str) -> None:
    """Queue a password reset e-mail.

    The work done does not depend on whether an account exists: the worker looks it up later.
    Requests over the limit are dropped, and so is what is no address: it may be a password, and
    the mail stores it until the worker looks. The mail is stored under the normalized address, so
    that a password change finds it however it was spelled.
    """
    key = normalize_identifier(email)
    try:
        limiter.hit("reset.ip", limiter.client_network())
        limiter.hit("reset.account", limiter.hash_identifier(key))
        normalize_email(key)
    except (InvalidInput, TooManyRequests):
        return
    queue.enqueue(Template.RESET_PASSWORD, key)
    db.session.commit()


def reset_password(token: str, new: str) -> None:
    """Set a new password by the token of a mailed link. Every session ends.

    It is a link to reset the password, or the invitation to an account without one. It proves the
    address, and lifts the lockout of the account and the pauses of its second step.
    Passwords count for ``login.ip``, and few of an account are hashed at the same time. Raises
    ``LinkInvalid``, ``InvalidInput`` and ``TooManyRequests``.
    """
    owner = links.peek(token, Purpose.RESET, Purpose.INVITE)
    if owner is None:
        raise LinkInvalid
    check_password_policy(new, owner.email, owner.username, field="new_password")
    limiter.hit("login.ip", limiter.client_network(), owner.id)
    with lockout.reserved("reset.account", f"confirm/{owner.id}"):
        password_hash = hash_password(new)
    for key in devices.lockout_keys(owner.id):
        lockout.reset("login.account", key)
    link = links.consume(token, Purpose.RESET, Purpose.INVITE)
    if link is None:
        raise LinkInvalid
    is_first = link.purpose is Purpose.INVITE
    link.user.email_verified = True
    forget = devices.forget_devices_after_reset
    replace_password_hash(link.user, password_hash, notice=not is_first, forget=forget)
    revoke_all_sessions(link.user.id)
    devices.know_network_of_reset(link.user.id)
    event = Event.INVITATION_ACCEPTED if is_first else Event.PASSWORD_RESET
    audit.record(event, user_id=link.user.id)
    db.session.commit()
    lift_pauses_after_reset(link.user.id)


def check_password_policy(
    password: str, email: str, username: str, *, field: str = "password"
) -> None:
    """Check a new password against the policy. Raises ``InvalidInput`` for ``field``."""
    if violations := policy_violations(password, email=email, username=username):
        raise InvalidInput({field: violations})


def replace_password_hash(
    user: User,
    password_hash: str,
    *,
    notice: bool = True,
    forget: Callable[[int], None] = devices.forget_devices,
) -> None:
    """Store the hash of a new password in the caller's transaction.

    Revoke the links and proofs of the user, ``forget`` the devices, and queue a notice, which the
    first password of an account does not need. Raises ``NotFound`` if the account no longer exists.
    """
    same = User.id == user.id
    if not execute_in_transaction(update(User).where(same).values(password_hash=password_hash)):
        raise NotFound
    revoke_links_and_proofs(user)
    forget(user.id)
    if notice:
        queue.enqueue(Template.PASSWORD_CHANGED, user.email, user_id=user.id)
