"""The account as its owner sees, changes, exports and deletes it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pycoder import audit
from pycoder.accounts import administration, reauthentication
from pycoder.accounts.identifiers import INVALID_USERNAME, USERNAME_TAKEN, is_valid_username
from pycoder.audit import Event
from pycoder.client_info import ClientInfo
from pycoder.errors import InvalidInput
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.models.audit import AuditEvent
from pycoder.models.mail import OneTimeToken
from pycoder.models.session import Session
from pycoder.models.user import User, normalize_identifier
from pycoder.ratelimit import limiter
from pycoder.tokens.state import TokenState


def update_profile(session: TokenState, *, client: ClientInfo, **profile: str) -> User:
    """Change any of ``username``, ``first_name`` and ``last_name``.

    A username tells whether somebody has it, so it is asked as rarely as at a registration.
    Raises ``InvalidInput``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    name, user_id = profile.get("username"), session.user_id
    if name not in (None, session.username):
        limiter.hit(limiter.count, "register.ip", f"username/{user_id}", client, user_id)
    user = reauthentication.lock_session_owner(session)
    if name is not None:
        if not is_valid_username(name, user.email):
            raise InvalidInput({"username": [INVALID_USERNAME]})
        user.username_key = normalize_identifier(name)
    for field, value in profile.items():
        setattr(user, field, value)
    is_new = db.session.is_modified(user)
    try:
        db.session.flush()
    except IntegrityError:
        raise InvalidInput({"username": [USERNAME_TAKEN]}) from None
    if is_new:
        audit.record(Event.USER_UPDATED, client, user_id=user.id, session_id=session.sid)
    db.session.commit()
    return user


def delete_own_account(session: TokenState, password: str | None, *, client: ClientInfo) -> None:
    """Delete an account by its owner; raises what ``prove`` raises, and ``TokenRevoked``."""
    reauthentication.require_recent_authentication(session, password, client=client)
    administration.delete_user(reauthentication.lock_session_owner(session), client=client)


def list_activity(user_id: int) -> Sequence[AuditEvent]:
    """Return the last 50 security events of an account, newest first."""
    return audit.latest_events(50, user_id)


def export_account(user_id: int) -> dict[str, Any]:
    """Return everything that is stored about an account, and no secret (GDPR Art. 15 and 20).

    Raises ``NotFound`` for an account that was deleted meanwhile.
    """
    user = administration.find_user(str(user_id))
    links = select(OneTimeToken).where(OneTimeToken.user_id == user_id)
    return {
        "user": user,
        "sessions": db.session.scalars(select(Session).where(Session.user_id == user_id)).all(),
        "events": audit.latest_events(None, user_id),
        "links": db.session.scalars(links.order_by(OneTimeToken.purpose)).all(),
        "mails": queue.queued_for(user),
    }
