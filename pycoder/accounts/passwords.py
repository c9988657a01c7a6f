"""Passwords of accounts: change, and reset by a mailed link."""

from sqlalchemy import update

from pycoder import audit
from pycoder.accounts import reauthentication
from pycoder.accounts.reauthentication import WRONG_PASSWORD
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.db.queries import execute_in_transaction
from pycoder.errors import InvalidCredentials, InvalidInput, LinkInvalid, NotFound, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.models.user import EMAIL_LENGTH, User, normalize_identifier
from pycoder.passwords.hashing import hash_password
from pycoder.passwords.policy import policy_violations
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices, lifecycle
from pycoder.sessions.refresh import replace_refresh_token
from pycoder.tokens.jwt import TokenPair, issue_tokens
from pycoder.tokens.state import TokenState


def change_password(
    session: TokenState, current: str, new: str, *, client: ClientInfo
) -> TokenPair:
    """Replace a password by its owner; every other session ends, this one gets a new pair.

    Raises ``InvalidInput``, ``InvalidCredentials``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    check_password_policy(new, session.email, session.username, field="new_password")
    seen = reauthentication.verify_current_password(session, current, client)
    hashed = hash_password(new)
    user = reauthentication.lock_session_owner(session)
    if user.password_hash != seen:  # of two changes at once, one succeeds
        raise InvalidCredentials(WRONG_PASSWORD)
    replace_password_hash(user, hashed, client)
    lifecycle.revoke_all_sessions(user.id, but=session.sid)
    renewed = replace_refresh_token(session)
    audit.record(Event.PASSWORD_CHANGED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()
    return issue_tokens(renewed)


def request_password_reset(email: str, *, client: ClientInfo) -> None:
    """Have a link mailed to the owner of an address, if it is anybody's.

    Whose it is, outbox.py asks later: nothing here depends on it, and so neither does the time
    that it takes. What is too much is dropped. The mail waits under the form that addresses are
    compared in, so that a change of the password finds it whatever spelling was typed.
    """
    key = normalize_identifier(email)
    limits = {
        "reset.ip": limiter.client_network(client.ip),
        "reset.account": limiter.hash_identifier(key),
    }
    try:
        for name, subject in limits.items():
            limiter.hit(limiter.count, name, subject, client)
    except TooManyRequests:
        return
    queue.enqueue(Template.RESET_PASSWORD, key[:EMAIL_LENGTH], client)
    db.session.commit()


def reset_password(secret: str, new: str, *, client: ClientInfo) -> None:
    """Replace a password by who reads the mails of its owner; every session ends.

    So does the pause that failed logins have earned the account, and this device of it. The
    address is proven by that, too. Raises ``LinkInvalid`` and ``InvalidInput``.
    """
    owner = links.peek(secret, Purpose.RESET)
    if owner is None:
        raise LinkInvalid
    check_password_policy(new, owner.email, owner.username, field="new_password")
    hashed = hash_password(new)
    device = devices.known_device(client.device, owner.id)
    for who in (str(owner.id), f"{owner.id}/{device}"):
        lockout.reset("login.account", who)
    link = links.consume(secret, Purpose.RESET)
    if link is None:
        raise LinkInvalid
    link.user.email_verified = True
    replace_password_hash(link.user, hashed, client)
    lifecycle.revoke_all_sessions(link.user.id)
    audit.record(Event.PASSWORD_RESET, client, user_id=link.user.id)
    db.session.commit()


def check_password_policy(
    password: str, email: str, username: str, *, field: str = "password"
) -> None:
    """Refuse a new password that is not good; raises ``InvalidInput``."""
    if reasons := policy_violations(password, email=email, username=username):
        raise InvalidInput({field: reasons})


def replace_password_hash(user: User, hashed: str, client: ClientInfo) -> None:
    """Set a hash in the caller's transaction, end all links of the account, and tell its owner.

    Raises ``NotFound`` for an account that was deleted meanwhile.
    """
    if not execute_in_transaction(
        update(User).where(User.id == user.id).values(password_hash=hashed)
    ):
        raise NotFound
    links.revoke(user.id)
    queue.cancel(user)
    queue.enqueue(Template.PASSWORD_CHANGED, user.email, client, user_id=user.id)
