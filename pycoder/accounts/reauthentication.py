"""Recent authentication before sensitive operations (RFC 9470)."""

from datetime import timedelta

from sqlalchemy import select

from pycoder.audit import Event
from pycoder.client_info import ClientInfo
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


def require_recent_authentication(
    session: TokenState, password: str | None, *, client: ClientInfo
) -> None:
    """Have who is signed in prove it again, before what a stolen token must not do (RFC 9470).

    By the password, or by a sign-in of the last five minutes. Raises ``InvalidCredentials``,
    ``TooManyRequests`` and ``ProofNeeded``.
    """
    if password is not None:
        verify_current_password(session, password, client)
    elif now() - session.created_at > RECENT:
        raise ReauthenticationRequired


def verify_current_password(session: TokenState, password: str, client: ClientInfo) -> str:
    """Return the hash that the password fits; failures of each session are counted for it.

    An account has as many tries as an address has logins, right ones too: a hash takes a core.
    """

    def work() -> str | None:
        found = fetch_one(select(User.password_hash).where(User.id == session.user_id), {})
        fits = found and verify_password(password, found.password_hash)
        return str(found.password_hash) if found and fits else None

    who, user_id = f"{session.user_id}/{session.sid}", session.user_id
    limiter.hit(limiter.count, "login.ip", f"proof/{user_id}", client, user_id)
    refusal = (Event.PROOF_REFUSED, "wrong password")
    hashed = lockout.guard_password_check(work, who, refusal, client=client, user_id=user_id)
    if hashed is None:
        raise InvalidCredentials(WRONG_PASSWORD)
    return hashed


def lock_session_owner(session: TokenState) -> User:
    """Return the account of a session that lives on, held until the transaction ends.

    Raises ``TokenRevoked`` if the session has ended since its token was looked at.
    """
    user = lock_user(User.id == session.user_id)
    live = select(Session.id).where(Session.id == session.sid, Session.revoked_at.is_(None))
    if user is None or db.session.scalar(live) is None:
        raise TokenRevoked
    return user
