"""Login: authenticate an account by its password, then create a session.

An account with a second factor gets a ticket for the second step (second_step.py) instead.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select

from pycoder import audit
from pycoder.audit import Event
from pycoder.db.queries import fetch_one
from pycoder.errors import (
    EmailUnverified,
    InvalidCredentials,
    Problem,
    SecondFactorRequired,
)
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.mfa import factors, pending, totp
from pycoder.models.session import Session
from pycoder.models.user import User, lock_user, normalize_identifier
from pycoder.passwords.hashing import hash_password, needs_rehash, verify_password
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices
from pycoder.sessions.lifecycle import create_session
from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenPair, issue_tokens

_ACCOUNTS = select(User.__table__, factors.has_factor().label("has_factor"))
_BY_IDENTIFIER = _ACCOUNTS.where(
    (User.email_key == bindparam("key")) | (User.username_key == bindparam("key"))
)
_BY_ID = _ACCOUNTS.where(User.id == bindparam("user_id"))

Account = Row[Any] | None
Created = tuple[User, Session, str]  # and the value of the device cookie


class LoginResult(NamedTuple):
    """The user, a token pair with its transport, and the value of the device cookie.

    ``recovery_codes`` are new ones, to be shown once.
    """

    user: User
    tokens: TokenPair
    device: str
    transport: str
    recovery_codes: Sequence[str] = ()


def log_in(*, identifier: str, password: str, transport: str = "body") -> LoginResult:
    """Authenticate by e-mail address or username, and create a session.

    ``transport`` is how the tokens of the session travel: ``body`` or ``cookie``. An unknown
    account, a wrong password and a deactivated account are rejected alike, after the same work;
    only the audit trail tells them apart. Raises ``InvalidCredentials``, ``TooManyRequests``,
    ``SecondFactorRequired`` with a ticket, and ``EmailUnverified`` where ``SECOND_FACTOR`` requires
    a factor that the account cannot add yet.
    """
    limiter.hit("login.ip", limiter.client_network())
    account = fetch_one(_BY_IDENTIFIER, {"key": normalize_identifier(identifier)})
    key, user_id = _lockout_key(account, identifier), account and account.id
    rejection = Event.LOGIN_REFUSED, _rejection_reason(account)
    with lockout.guard("login.account", key, *rejection, user_id):
        created = _authenticate_and_create(account, password, transport)
    if isinstance(created, Problem):  # a correct password, so it is no failure
        raise created
    return login_result(*created)


def authenticate(account: Account, password: str) -> Row[Any]:
    """Verify the password of an account, and return the account.

    Without an account, a decoy is verified, so that the answer takes as long. Raises
    ``InvalidCredentials``, also for a deactivated account.
    """
    verified = verify_password(password, account and account.password_hash)
    if account is None or not verified or not account.is_active:
        raise InvalidCredentials
    return account


def _authenticate_and_create(account: Account, password: str, transport: str) -> Created | Problem:
    """Authenticate an account, create its session or a ticket, and commit.

    The second half is done under a lock of the account. No transaction is open while a password
    is hashed. If the account changes during that time, its new state is authenticated again.
    """
    account = authenticate(account, password)
    password_hash = _upgraded_hash(account, password)
    needs_step = _needs_step(account.id, account.has_factor)
    current_ring()  # fails before there is a session for which no token can be signed
    # In a transaction of its own, before this one writes.
    status_idx = 0 if needs_step else status_list.allocate_index()
    user = lock_user(User.id == account.id)
    methods = factors.methods_of(user.id) if user else []
    still_needed = user and _needs_step(user.id, bool(methods))
    if user is None or (user.password_hash, still_needed) != (account.password_hash, needs_step):
        db.session.rollback()
        account = fetch_one(_BY_ID, {"user_id": account.id})
        return _authenticate_and_create(account, password, transport)
    user.password_hash = password_hash
    if needs_step:
        return _create_ticket(user, methods, transport)
    return create_login(user, status_idx, transport, factors.PASSWORD)


def _needs_step(user_id: int, has_factor: bool) -> bool:
    """Return whether the password alone does not sign a user in on this device."""
    return not devices.is_remembered(user_id) if has_factor else factors.is_required(user_id)


def _create_ticket(user: User, methods: list[str], transport: str) -> Problem:
    """Create the ticket for the second step of a login, and commit.

    Without a factor, it is one for enrolment, which needs a confirmed address.
    """
    if not (methods or user.email_verified):
        audit.record(Event.LOGIN_REFUSED, user_id=user.id, reason="unconfirmed address")
        db.session.commit()
        return EmailUnverified(UNCONFIRMED)
    data, kind, lifetime = {"transport": transport}, pending.SECOND_STEP, pending.STEP_LIFETIME
    if not methods:
        data |= {"secret": totp.new_setup(user.id), "email": user.email}
        kind, lifetime = pending.ENROLMENT, pending.ENROLMENT_LIFETIME
    origin = devices.known_origin(user.id, devices.WITH_FACTOR) or limiter.client_network()
    ticket = pending.create(kind, user.id, lifetime, origin=origin, data=data)
    audit.record_hourly(Event.LOGIN_HALF, user_id=user.id)
    db.session.commit()
    return SecondFactorRequired(methods, ticket, int(lifetime.total_seconds()))


UNCONFIRMED = (
    "This service requires a second factor, and a confirmed e-mail address for it. Please open the"
    " link that we have mailed to you, or set a new password by a mailed link: it confirms the"
    " address, too."
)


def create_login(
    user: User, status_idx: int, transport: str, amr: str, *, remember: bool = False
) -> Created:
    """Create the session of a user that has authenticated, and commit.

    With ``remember``, the next logins on this device need no second factor. The caller holds
    ``lock_user``.
    """
    session = create_session(user.id, status_idx, transport, amr)
    reason = "passkey" if factors.PASSKEY in amr else None
    audit.record(Event.LOGIN_SUCCEEDED, user_id=user.id, session_id=session.id, reason=reason)
    device, is_new = devices.remember_device(user.id, without_factor=remember)
    if is_new:
        queue.enqueue(Template.NEW_DEVICE, user.email, user_id=user.id)
    db.session.commit()
    return user, session, device


def _upgraded_hash(account: Row[Any], password: str) -> str:
    """Return the hash of an account, or a new one if its format or cost is outdated."""
    stored: str = account.password_hash
    return hash_password(password) if needs_rehash(stored) else stored


def issue_operator_tokens(user: User) -> TokenPair:
    """Create a session without a login, for the drill of an operator."""
    status_idx = status_list.allocate_index()
    session = create_session(user.id, status_idx, "body")
    db.session.commit()
    return issue_tokens(session)


def login_result(user: User, session: Session, device: str) -> LoginResult:
    """Return what the client receives for a session that has been committed."""
    return LoginResult(user, issue_tokens(session), device, session.transport)


def _rejection_reason(account: Account) -> str:
    if account is None:
        return "unknown account"
    return "wrong password" if account.is_active else "deactivated account"


def _lockout_key(account: Account, identifier: str) -> str:
    """Return the key that failures count for: the account, or a known origin of it.

    An unknown account counts like a known one, by a hash of its identifier.
    """
    origin = devices.known_origin(account and account.id)
    if account is None:
        return limiter.hash_identifier(normalize_identifier(identifier))
    return f"{account.id}/{origin}" if origin else str(account.id)
