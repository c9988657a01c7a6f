"""Recent authentication before sensitive operations (RFC 9470)."""

from datetime import timedelta

from sqlalchemy import select

from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import fetch_one
from pycoder.errors import InvalidCredentials, ReauthenticationRequired, TokenRevoked
from pycoder.extensions import db
from pycoder.models.session import Session
from pycoder.models.user import User, lock_user
from pycoder.passwords.hashing import verify_password
from pycoder.ratelimit import limiter, lockout
from pycoder.tokens.state import TokenState

RECENT = timedelta(minutes=5)
WRONG_PASSWORD = "This is not your password."


def require_recent_authentication(current: TokenState, password: str | None) -> None:
    """Require recent authentication before a sensitive operation (RFC 9470).

    Passes if the password is correct, or if the session is younger than five minutes. Raises
    ``InvalidCredentials``, ``TooManyRequests`` and ``ReauthenticationRequired``.
    """
    if password is not None:
        verify_current_password(current, password)
    elif now() - current.created_at > RECENT:
        raise ReauthenticationRequired


def verify_current_password(current: TokenState, password: str) -> str:
    """Verify the password of the current user, and return the hash that it matches.

    Failures count for the session. All attempts, correct ones included, count for ``login.ip``: for
    the network of the client, and for the account, because each costs a hash. Raises
    ``InvalidCredentials`` and ``TooManyRequests``.
    """
    user_id = current.user_id
    limiter.hit("login.ip", limiter.client_network(), user_id)
    limiter.hit("login.ip", f"proof/{user_id}", user_id)
    key = f"{user_id}/{current.session_id}"
    with lockout.guard("login.account", key, Event.PROOF_REFUSED, "wrong password", user_id):
        row = fetch_one(select(User.password_hash).where(User.id == user_id), {})
        if row is None or not verify_password(password, row.password_hash):
            raise InvalidCredentials(WRONG_PASSWORD)
    return str(row.password_hash)


def lock_session_owner(current: TokenState) -> User:
    """Lock the current user until the transaction ends, and return its current state.

    Raises ``TokenRevoked`` if the session has ended since its token was verified.
    """
    user = lock_user(User.id == current.user_id)
    active = (Session.id == current.session_id, Session.revoked_at.is_(None))
    if user is None or db.session.scalar(select(Session.id).where(*active)) is None:
        raise TokenRevoked
    return user
