"""Login by a passkey alone, which is both factors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pycoder import audit
from pycoder.audit import Event
from pycoder.errors import PasskeyInvalid
from pycoder.extensions import db
from pycoder.keys.ring import current_ring
from pycoder.mail import queue
from pycoder.mail.queue import Template
from pycoder.mfa import factors, passkeys
from pycoder.mfa.passkeys import COUNTER_FELL, Assertion
from pycoder.models.user import User, lock_user
from pycoder.ratelimit import limiter
from pycoder.sessions.login import Created, LoginResult, create_login, login_result
from pycoder.tokens import status_list

DAY = 86_400  # seconds in which one mail at most warns of a copied passkey


def log_in_by_passkey(
    ticket: str, credential: Mapping[str, Any], transport: str = "body"
) -> LoginResult:
    """Log in by a passkey, which names its user, and create a session.

    Attempts count for the network of the client alone, because no passkey can be guessed. The
    failures of an attacker therefore lock no user out. Raises ``PasskeyUnknown``,
    ``PasskeyInvalid`` and ``TooManyRequests``.
    """
    limiter.hit("login.ip", limiter.client_network())
    user_id = None
    try:
        assertion = passkeys.verify_assertion(ticket, credential)
        user_id = assertion.passkey.user_id
        with warn_of_copy(user_id):
            return login_result(*_use_and_create(assertion, transport))
    except PasskeyInvalid as refusal:
        db.session.rollback()
        audit.record_separately(Event.PASSKEY_REFUSED, user_id=user_id, reason=refusal.reason)
        raise


def _use_and_create(assertion: Assertion, transport: str) -> Created:
    """Use up the assertion, create the session, and commit, all in one transaction."""
    current_ring()  # fails before there is a session for which no token can be signed
    status_idx = status_list.allocate_index()  # in a transaction of its own, before this one writes
    user = lock_user(User.id == assertion.passkey.user_id)
    if user is None:
        raise PasskeyInvalid("deactivated account")
    passkeys.use(assertion)
    return create_login(user, status_idx, transport, factors.PASSKEY)


@contextmanager
def warn_of_copy(user_id: int) -> Iterator[None]:
    """Record that a counter fell in a ``with`` block, and mail the owner.

    One mail a day is enough.
    """
    try:
        yield
    except PasskeyInvalid as refusal:
        db.session.rollback()
        if refusal.reason == COUNTER_FELL:
            _warn(user_id)
        raise


def _warn(user_id: int) -> None:
    audit.record_separately(Event.PASSKEY_COUNTER_FELL, user_id=user_id)
    is_first = limiter.is_first_in_period(f"passkey.mail/{user_id}", DAY)
    user = db.session.get(User, user_id)
    if user and is_first:
        queue.enqueue(Template.PASSKEY_COUNTER_FELL, user.email, user_id=user_id)
        db.session.commit()
