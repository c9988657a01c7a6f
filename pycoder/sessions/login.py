"""Login: verify a password, then create a session."""

from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.db.queries import execute_in_transaction, fetch_one
from pycoder.errors import InvalidCredentials
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.models.session import Session
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import hash_password, needs_rehash, verify_password
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions import devices, lifecycle
from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenPair, issue_tokens

_ACCOUNT = select(User.__table__).where(
    (User.email_key == bindparam("key")) | (User.username_key == bindparam("key"))
)


class LoginResult(NamedTuple):
    """What a sign-in hands out: the user, the pair, and the cookie that knows the device."""

    user: User | Row[Any]
    tokens: TokenPair
    device: str


def log_in(
    *, identifier: str, password: str, client: ClientInfo, transport: str = "body"
) -> LoginResult:
    """Start a session for who knows the password of an e-mail address or username.

    Its tokens travel by ``transport`` for as long as it lives. Unknown account, wrong password
    and deactivated account are refused alike, after the same work; only the trail tells them
    apart. Raises ``InvalidCredentials`` and ``TooManyRequests``.
    """
    limiter.hit(limiter.count, "login.ip", limiter.client_network(client.ip), client)
    account = fetch_one(_ACCOUNT, {"key": normalize_identifier(identifier)})
    who, user_id = lockout_key(account, identifier, client), account and account.id
    refusal = (Event.LOGIN_REFUSED, _rejection_reason(account))
    work = partial(_authenticated, account, identifier, password, client, transport)
    found = lockout.guard_password_check(work, who, refusal, client=client, user_id=user_id)
    if found is None:
        raise InvalidCredentials
    return login_result(*found, client)


def _authenticated(
    account: Any, identifier: str, password: str, client: ClientInfo, transport: str
) -> tuple[Row[Any], Session] | None:
    """Return the account whose password this is and its new session, committed.

    No transaction is open while bcrypt works, so the password may have been changed or the
    account deactivated meanwhile; what it is now is then judged anew.
    """
    while verify_password(password, account and account.password_hash) and account.is_active:
        current_ring()  # or a session would begin that can be handed no tokens
        place = status_list.allocate_index()
        try:
            upgraded = _rehash_if_needed(account, password)
            session = lifecycle.create_session(account.id, upgraded, place, client, transport)
        except InvalidCredentials:
            db.session.rollback()
            account = fetch_one(_ACCOUNT, {"key": normalize_identifier(identifier)})
            continue
        audit.record(Event.LOGIN_SUCCEEDED, client, user_id=account.id, session_id=session.id)
        if not devices.known_device(client.device, account.id):
            queue.enqueue(Template.NEW_DEVICE, account.email, client, user_id=account.id)
        db.session.commit()
        return account, session
    return None


def _rehash_if_needed(account: Any, password: str) -> str:
    """Return the account's hash, or the better one that replaces it if it is outdated."""
    old: str = account.password_hash
    if not needs_rehash(old):
        return old
    new = hash_password(password)
    as_it_was = (User.id == account.id) & (User.password_hash == old)
    return (
        new
        if execute_in_transaction(update(User).where(as_it_was).values(password_hash=new))
        else old
    )


def login_result(user: User | Row[Any], session: Session, client: ClientInfo) -> LoginResult:
    """Return what a committed sign-in hands out."""
    return LoginResult(user, issue_tokens(session), devices.remember_device(client.device, user.id))


def _rejection_reason(account: Any) -> str:
    if account is None:
        return "unknown account"
    return "wrong password" if account.is_active else "deactivated account"


def lockout_key(account: Any, identifier: str, client: ClientInfo) -> str:
    """Return whose failures count: those of a known device apart from those of everybody else.

    An unknown account is counted like a known one, under what its identifier hashes to.
    """
    if account is None:
        return limiter.hash_identifier(normalize_identifier(identifier))
    device = devices.known_device(client.device, account.id)
    return f"{account.id}/{device}" if device else str(account.id)
