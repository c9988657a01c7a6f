"""The account as its owner sees, changes, exports and deletes it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts.administration import delete_user
from pycoder.accounts.identifiers import (
    INVALID_USERNAME,
    USERNAME_TAKEN,
    is_valid_username,
    name_errors,
)
from pycoder.accounts.reauthentication import lock_session_owner, require_recent_authentication
from pycoder.audit import Event
from pycoder.errors import InvalidInput, NotFound
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OneTimeToken
from pycoder.models.session import Session
from pycoder.models.user import User, normalize_identifier
from pycoder.ratelimit import limiter
from pycoder.sessions.lifecycle import mark_current
from pycoder.tokens.state import TokenState

ACTIVITY_LENGTH = 50  # events


def update_profile(current: TokenState, **profile: str) -> User:
    """Change any of ``username``, ``first_name`` and ``last_name``.

    The response reveals whether a username is taken, so the limit of registrations applies to a new
    one. Raises ``InvalidInput``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    username, user_id = profile.get("username"), current.user_id
    if errors := name_errors({field: profile[field] for field in profile.keys() - {"username"}}):
        raise InvalidInput(errors)
    if username not in (None, current.user.username):
        limiter.hit("register.ip", f"username/{user_id}", user_id)
    user = lock_session_owner(current)
    if username is not None:
        if not is_valid_username(username, user.email):
            raise InvalidInput({"username": [INVALID_USERNAME]})
        user.username_key = normalize_identifier(username)
    for field, value in profile.items():
        setattr(user, field, value)
    is_modified = db.session.is_modified(user)
    try:
        db.session.flush()
    except IntegrityError:
        raise InvalidInput({"username": [USERNAME_TAKEN]}) from None
    if is_modified:
        audit.record(Event.USER_UPDATED, user_id=user.id, session_id=current.session_id)
    db.session.commit()
    return user


def delete_own_account(current: TokenState, password: str | None) -> None:
    """Delete the account of the current user.

    Raises what ``require_recent_authentication`` raises, and ``TokenRevoked``.
    """
    require_recent_authentication(current, password)
    delete_user(lock_session_owner(current))


def list_activity(user_id: int) -> Sequence[AuditEvent]:
    """Return the latest security events of a user, newest first."""
    return audit.latest_events(ACTIVITY_LENGTH, user_id)


def export_account(current: TokenState) -> dict[str, Any]:
    """Return everything that is stored about the account, without secrets.

    It fulfils the rights of access and data portability (GDPR Art. 15 and 20). Raises ``NotFound``
    if the account has been deleted meanwhile.
    """
    user_id = current.user_id
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFound
    sessions = db.session.scalars(select(Session).where(Session.user_id == user_id)).all()
    links = select(OneTimeToken).where(OneTimeToken.user_id == user_id)
    return {
        "user": user,
        "sessions": mark_current(sessions, current),
        "events": audit.latest_events(None, user_id),
        "links": db.session.scalars(links.order_by(OneTimeToken.purpose)).all(),
        "mails": queue.queued_for(user),
    }
