"""Reauthentication before sensitive operations: the password, or a proof of it.

A token alone never changes how an account is owned, however young its login is: every service that
receives it could do so. The caller sends the password with the request, or a proof: a random value
for which the password was exchanged a moment before.
"""

import secrets
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import delete, insert, select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one
from pycoder.errors import InvalidCredentials, ReauthenticationRequired, TokenRevoked
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import Session, is_active_session
from pycoder.models.user import User, lock_user
from pycoder.passwords.hashing import verify_password
from pycoder.ratelimit import limiter, lockout
from pycoder.tokens.state import TokenState

PROOF = "proof"  # the kind of pending authentication
PROOF_LIFETIME = timedelta(minutes=5)
MAXIMUM_PENDING = 5  # of one kind and user
WRONG_PASSWORD = "This is not your password."


def create_proof(current: TokenState, password: str) -> str:
    """Exchange the password of the current user for a proof, and return it.

    The proof is bound to the session, and valid for any number of its requests in the next five
    minutes, so that a client can repeat a request whose response was lost. The next access token of
    the session has the new ``auth_time``. Raises ``InvalidCredentials``, ``TooManyRequests`` and
    ``TokenRevoked``.
    """
    verify_current_password(current, password)
    user = lock_session_owner(current)
    at = now()
    proof = secrets.token_urlsafe(32)
    row = {
        "digest": _digest(proof),
        "kind": PROOF,
        "user_id": user.id,
        "session_id": current.session_id,
        "expires_at": at + PROOF_LIFETIME,
    }
    _make_room(user.id)
    execute_in_transaction(insert(PendingAuthentication).values(row))
    own = Session.id == current.session_id
    execute_in_transaction(update(Session).where(own).values(authenticated_at=at))
    audit.record(Event.PROOF_CREATED, user_id=user.id, session_id=current.session_id)
    db.session.commit()
    return proof


def _make_room(user_id: int) -> None:
    """Delete the oldest proofs of a user, so that one more makes ``MAXIMUM_PENDING``."""
    theirs = (PendingAuthentication.user_id == user_id, PendingAuthentication.kind == PROOF)
    newest = select(PendingAuthentication.digest).where(*theirs)
    newest = newest.order_by(PendingAuthentication.expires_at.desc()).limit(MAXIMUM_PENDING - 1)
    surplus = PendingAuthentication.digest.not_in(newest)
    execute_in_transaction(delete(PendingAuthentication).where(*theirs, surplus))


def require_reauthentication(current: TokenState, password: str | None, proof: str | None) -> None:
    """Require the password of the current user, or a proof of the session (RFC 9470).

    Raises ``ReauthenticationRequired``, and what ``verify_current_password`` raises.
    """
    if password is not None:
        verify_current_password(current, password)
    elif proof is None or not _is_valid_proof(current, proof):
        raise ReauthenticationRequired


def _is_valid_proof(current: TokenState, proof: str) -> bool:
    valid = (
        PendingAuthentication.digest == _digest(proof),
        PendingAuthentication.kind == PROOF,
        PendingAuthentication.user_id == current.user_id,
        PendingAuthentication.session_id == current.session_id,
        PendingAuthentication.expires_at > now(),
    )
    return fetch_one(select(PendingAuthentication.digest).where(*valid), {}) is not None


def _digest(proof: str) -> str:
    return sha256(proof.encode()).hexdigest()


def verify_current_password(current: TokenState, password: str) -> None:
    """Verify the password of the current user.

    Failures count for the session. All attempts, correct ones included, count for ``login.ip``: for
    the network of the client, and for the account, because each costs a hash. Raises
    ``InvalidCredentials``, ``TooManyRequests``, and ``TokenRevoked`` for a deleted account.
    """
    user_id = current.user_id
    limiter.hit("login.ip", limiter.client_network(), user_id)
    limiter.hit("login.ip", f"proof/{user_id}", user_id)
    key = f"{user_id}/{current.session_id}"
    with lockout.guard("login.account", key, Event.PROOF_REFUSED, "wrong password", user_id):
        row = fetch_one(select(User.password_hash).where(User.id == user_id), {})
        if row is None:
            raise TokenRevoked
        if not verify_password(password, row.password_hash):
            raise InvalidCredentials(WRONG_PASSWORD)


def lock_session_owner(current: TokenState) -> User:
    """Lock the current user until the transaction ends, and return its current state.

    Raises ``TokenRevoked`` if the session has ended since its token was verified. Every change of
    the password ends the session, so a password that was verified before is still correct.
    """
    user = lock_user(User.id == current.user_id)
    if user is None or not db.session.scalar(select(is_active_session(current.session_id))):
        raise TokenRevoked
    return user


def revoke_links_and_proofs(user: User) -> None:
    """Revoke the links and proofs of an account in the caller's transaction.

    Queued mails with links are deleted. Links that undo a change of address stay valid.
    """
    links.revoke(user.id)
    queue.cancel(user)
    theirs = PendingAuthentication.user_id == user.id
    execute_in_transaction(delete(PendingAuthentication).where(theirs))
