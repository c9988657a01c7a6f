"""The account as its owner sees, changes, exports and deletes it."""

from collections.abc import Iterator, Mapping, Sequence
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
from pycoder.accounts.reauthentication import (
    lock_reauthenticated_owner,
    lock_session_owner,
    require_reauthentication,
)
from pycoder.accounts.roles import lock_admins, require_other_admin
from pycoder.audit import Event
from pycoder.errors import InvalidInput, TokenRevoked, TooManyRequests
from pycoder.extensions import db
from pycoder.mail import queue
from pycoder.mfa import passkeys, recovery_codes
from pycoder.models.device import Device
from pycoder.models.mail import OneTimeToken
from pycoder.models.mfa import Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.role import ADMIN
from pycoder.models.session import Session
from pycoder.models.user import User, normalize_identifier
from pycoder.ratelimit import limiter, lockout
from pycoder.sessions.lifecycle import mark_current
from pycoder.tokens.state import TokenState

EXPORT_DURATION = 300  # seconds, after which another export may begin in any case


def update_profile(current: TokenState, **profile: str) -> User:
    """Change any of ``username``, ``first_name`` and ``last_name``.

    The response reveals whether a username is taken, so the limit of registrations applies to a new
    one. Raises ``InvalidInput``, ``TooManyRequests`` and ``TokenRevoked``.
    """
    username, user_id = profile.get("username"), current.user_id
    if errors := name_errors({field: profile[field] for field in profile.keys() - {"username"}}):
        raise InvalidInput(errors)
    limiter.hit("account.writes", f"profile/{user_id}", user_id)
    if username not in (None, current.user.username):
        _validate_username(username, current.user.email)
        limiter.hit("register.ip", f"username/{user_id}", user_id)
    user = lock_session_owner(current)
    if username is not None:
        _validate_username(username, user.email)
        user.username_key = normalize_identifier(username)
    for field, value in profile.items():
        setattr(user, field, value)
    is_modified = db.session.is_modified(user)
    try:
        db.session.flush()
    except IntegrityError:
        raise InvalidInput({"username": [USERNAME_TAKEN]}) from None
    if is_modified:
        audit.record_hourly(Event.USER_UPDATED, user_id=user.id, session_id=current.session_id)
    db.session.commit()
    return user


def _validate_username(username: str, email: str) -> None:
    if not is_valid_username(username, email):
        raise InvalidInput({"username": [INVALID_USERNAME]})


def delete_own_account(
    current: TokenState, *, password: str | None = None, proof: str | None = None
) -> None:
    """Delete the account of the current user.

    Raises what ``require_reauthentication`` raises, ``TokenRevoked``, and ``LastAdmin``.
    """
    require_reauthentication(current, password, proof)
    if ADMIN in current.roles:
        lock_admins()
        require_other_admin(current.user_id)
    delete_user(lock_reauthenticated_owner(current, proof))


def list_activity(user_id: int) -> Sequence[Mapping[str, Any]]:
    """Return the latest events of a user, newest first, as the user may see them."""
    events = audit.latest_events(audit.ACTIVITY_LENGTH, user_id)
    return [audit.as_shown_to_user(vars(event)) for event in events]


def export_account(current: TokenState) -> dict[str, Any]:
    """Return everything that is stored about the account, without secrets.

    It fulfils the rights of access and data portability (GDPR Art. 15 and 20). The events are a
    generator of batches, because there can be any number of them. Raises ``TooManyRequests``, also
    while another export is under way, and ``TokenRevoked`` if the account has been deleted
    meanwhile.
    """
    user_id = current.user_id
    limiter.hit("account.writes", f"export/{user_id}", user_id)
    user = db.session.get(User, user_id)
    if user is None:
        raise TokenRevoked
    sessions = db.session.scalars(select(Session).where(Session.user_id == user_id)).all()
    links = select(OneTimeToken).where(OneTimeToken.user_id == user_id)
    devices = select(Device).where(Device.user_id == user_id)
    pending = select(PendingAuthentication).where(PendingAuthentication.user_id == user_id)
    document = {
        "user": user,
        "sessions": mark_current(sessions, current),
        "devices": db.session.scalars(devices.order_by(Device.created_at)).all(),
        "totp": db.session.get(Totp, user_id),
        "recovery_codes": recovery_codes.codes_of(user_id),
        "passkeys": passkeys.passkeys_of(user_id),
        "links": db.session.scalars(links.order_by(OneTimeToken.purpose, OneTimeToken.id)).all(),
        "pending_authentications": db.session.scalars(
            pending.order_by(PendingAuthentication.expires_at)
        ).all(),
        "mails": queue.queued_for(user),
    }
    db.session.close()  # no connection waits for the client to read
    if not limiter.is_first_in_period(f"export/{user_id}", EXPORT_DURATION):
        raise TooManyRequests(lockout.BUSY_RETRY)
    return {**document, "events": _read_events(user_id)}


def _read_events(user_id: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the events in batches. Afterwards, the next export may begin."""
    try:
        yield from audit.read_events(user_id)
    finally:
        limiter.end_period(f"export/{user_id}")
