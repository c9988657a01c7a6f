"""Reauthentication before sensitive operations: the password, or a proof.

A token alone never changes how an account is owned, however young its login is: every service that
receives it could do so. The caller sends the password with the request, or a proof: a random value
for which the password, and the second factor of an account that has one, were exchanged a moment
before.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one
from pycoder.errors import (
    FieldError,
    InvalidCredentials,
    InvalidInput,
    ReauthenticationRequired,
    SecondFactorRequired,
    TokenRevoked,
)
from pycoder.extensions import db
from pycoder.mail import links, queue
from pycoder.mfa import factors, pending
from pycoder.models.session import Session, is_active_session
from pycoder.models.user import User, lock_user
from pycoder.passwords.hashing import verify_password
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions.second_step import guard, record_use, warn_of_guesses
from pycoder.tokens.state import TokenState

PROOF = "proof"  # the kind of pending authentication
PROOF_LIFETIME = timedelta(minutes=5)
REQUIRED = FieldError("required", "This field is required.")
WRONG_PASSWORD = "This is not your password."


def create_proof(
    current: TokenState, password: str | None = None, factor: Mapping[str, Any] = {}
) -> str:
    """Exchange the password of the current user for a proof, and return it.

    An account with a second factor needs one beside the password. A passkey is enough alone. The
    proof is bound to the session, and valid for any number of its requests in the next five
    minutes, so that a client can repeat a request whose response was lost. The next access token of
    the session has the new ``auth_time``, ``amr`` and ``acr``. Raises ``InvalidCredentials``,
    ``InvalidCode``, ``PasskeyInvalid``, ``SecondFactorRequired``, ``TooManyRequests`` and
    ``TokenRevoked``.
    """
    if password is not None:
        verify_current_password(current, password)
    elif "passkey" not in factor:
        raise InvalidInput({"password": [REQUIRED]})
    if not factor:
        return _create_proof(current, factors.PASSWORD, factor)
    limiter.hit("second.ip", limiter.client_network())
    has_password, user_id = password is not None, current.user_id
    with warn_of_guesses(user_id, has_password), guard(user_id, next(iter(factor))):
        return _create_proof(current, factors.PASSWORD if has_password else "", factor)


def _create_proof(current: TokenState, amr: str, factor: Mapping[str, Any]) -> str:
    """Use up the second factor, create the proof, and commit."""
    user = lock_session_owner(current)
    if factor:
        amr = f"{amr} {factors.consume(user.id, factor)}".strip()
        record_use(user, factor)
    elif methods := factors.methods_of(user.id):
        raise SecondFactorRequired(methods)
    proof = pending.create(PROOF, user.id, PROOF_LIFETIME, session_id=current.session_id)
    own = Session.id == current.session_id
    execute_in_transaction(update(Session).where(own).values(authenticated_at=now(), amr=amr))
    audit.record(Event.PROOF_CREATED, user_id=user.id, session_id=current.session_id)
    db.session.commit()
    return proof


def require_proof(current: TokenState, proof: str | None) -> None:
    """Require a proof of the session. Raises ``ReauthenticationRequired``."""
    row = pending.find(PROOF, proof) if proof is not None else None
    if row is None or (row.user_id, row.session_id) != (current.user_id, current.session_id):
        needs_factor, detail = _has_factor(current.user_id), PROOF_INVALID if proof else ""
        raise ReauthenticationRequired(needs_factor=needs_factor, detail=detail)


PROOF_INVALID = (
    "This proof is not one of this session, or has expired. Please confirm again that it is you,"
    " and send the new proof."
)


def require_reauthentication(current: TokenState, password: str | None, proof: str | None) -> None:
    """Require the password of the current user, or a proof of the session (RFC 9470).

    A proof decides alone, and the password is not enough for an account with a second factor.
    Raises ``ReauthenticationRequired``, and what ``verify_current_password`` raises.
    """
    if password is not None and proof is None and not _has_factor(current.user_id):
        verify_current_password(current, password)
    else:
        require_proof(current, proof)


def _has_factor(user_id: int) -> bool:
    with_factor = select(User.id).where(User.id == user_id, factors.has_factor())
    return fetch_one(with_factor, {}) is not None


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


def lock_reauthenticated_owner(current: TokenState, proof: str | None) -> User:
    """Lock the current user after a reauthentication, and return its current state.

    A second factor may have been added or removed while the password was hashed: then the password
    is not enough any more, and a proof of before was revoked. Raises ``ReauthenticationRequired``
    and ``TokenRevoked``.
    """
    user = lock_session_owner(current)
    if proof is not None or factors.methods_of(user.id):
        require_proof(current, proof)
    return user


def revoke_links_and_proofs(user: User) -> None:
    """Revoke the links and proofs of an account in the caller's transaction.

    Queued mails with links are deleted. Links that undo a change of address or a first factor
    stay valid.
    """
    links.revoke(user.id)
    queue.cancel(user)
    pending.revoke(user.id)
