"""Passwords of accounts: change, and reset by a mailed link."""

from sqlalchemy import update

from pycoder import audit
from pycoder.accounts.identifiers import normalize_email
from pycoder.accounts.reauthentication import (
    WRONG_PASSWORD,
    lock_session_owner,
    verify_current_password,
)
from pycoder.audit import Event
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidCredentials, InvalidInput, LinkInvalid, NotFound, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.passwords.policy import policy_violations
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import revoke_all_sessions
from pycoder.sessions.refresh import replace_refresh_token
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import TokenState


def change_password(current: TokenState, password: str, new: str) -> TokenPair:
    """Change the password of the current user, and return a new pair for this session.

    Every other session ends. Raises ``InvalidInput``, ``InvalidCredentials``, ``TooManyRequests``
    and ``TokenRevoked``.
    """
    check_password_policy(new, current.user.email, current.user.username, field="new_password")
    verified_hash = verify_current_password(current, password)
    password_hash = hash_password(new)
    user = lock_session_owner(current)
    if user.password_hash != verified_hash:  # of two simultaneous changes, one succeeds
        raise InvalidCredentials(WRONG_PASSWORD)
    replace_password_hash(user, password_hash)
    revoke_all_sessions(user.id, except_id=current.session_id)
    replaced = replace_refresh_token(current)
    audit.record(Event.PASSWORD_CHANGED, user_id=user.id, session_id=current.session_id)
    db.session.commit()
    return issue_tokens(replaced)


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

    The link proves the address, and lifts the lockout of the account and of this device. Raises
    ``LinkInvalid`` and ``InvalidInput``.
    """
    owner = links.peek(token, Purpose.RESET)
    if owner is None:
        raise LinkInvalid
    check_password_policy(new, owner.email, owner.username, field="new_password")
    password_hash = hash_password(new)
    for key in (str(owner.id), f"{owner.id}/{devices.known_device(owner.id)}"):
        lockout.reset("login.account", key)
    link = links.consume(token, Purpose.RESET)
    if link is None:
        raise LinkInvalid
    link.user.email_verified = True
    replace_password_hash(link.user, password_hash)
    revoke_all_sessions(link.user.id)
    audit.record(Event.PASSWORD_RESET, user_id=link.user.id)
    db.session.commit()


def check_password_policy(
    password: str, email: str, username: str, *, field: str = "password"
) -> None:
    """Check a new password against the policy. Raises ``InvalidInput`` for ``field``."""
    if violations := policy_violations(password, email=email, username=username):
        raise InvalidInput({field: violations})


def replace_password_hash(user: User, password_hash: str) -> None:
    """Store the hash of a new password in the caller's transaction.

    Revoke all links of the user, delete queued mails with links, and queue a notice. Raises
    ``NotFound`` if the account no longer exists.
    """
    same = User.id == user.id
    if not execute_in_transaction(update(User).where(same).values(password_hash=password_hash)):
        raise NotFound
    links.revoke(user.id)
    queue.cancel(user)
    queue.enqueue(Template.PASSWORD_CHANGED, user.email, user_id=user.id)
