"""The audit trail: security events, written in the transaction of their change."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update

from pycoder.client_info import current_client, network_of
from pycoder.clock import now
from pycoder.db.queries import autocommit, execute_in_transaction, fetch_all
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent

ACTIVITY_LENGTH = 50  # events that an account shows
HOUR = timedelta(hours=1)
KEEP_CLIENTS = timedelta(days=30)  # of a deleted account, as evidence of its deletion


class Event(StrEnum):
    """Every security event. The values are stable, because operators search for them."""

    USER_REGISTERED = "user.registered"
    USER_CREATED = "user.created"
    USER_ACTIVATED = "user.activated"
    USER_DEACTIVATED = "user.deactivated"
    USER_UNLOCKED = "user.unlocked"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"
    USERS_IMPORTED = "users.imported"
    USERS_EXPORTED = "users.exported"
    USER_INVITED = "user.invited"
    INVITATION_ACCEPTED = "invitation.accepted"
    PASSWORD_SET = "password.set"
    PASSWORD_VOIDED = "password.voided"
    PASSWORD_CHANGED = "password.changed"
    PASSWORD_RESET_ASKED = "password.reset_asked"
    PASSWORD_RESET = "password.reset"
    EMAIL_VERIFIED = "email.verified"
    EMAIL_CHANGE_ASKED = "email.change_asked"
    EMAIL_CHANGED = "email.changed"
    EMAIL_CHANGE_UNDONE = "email.change_undone"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_REFUSED = "login.refused"
    LOGIN_HALF = "login.half"
    SECOND_REFUSED = "login.second_refused"
    PROOF_CREATED = "proof.created"
    PROOF_REFUSED = "proof.refused"
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    FACTORS_RESET = "factors.reset"
    FACTORS_UNDONE = "factors.undone"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    PASSKEY_REFUSED = "passkey.refused"
    PASSKEY_COUNTER_FELL = "passkey.counter_fell"
    RECOVERY_CODES_CREATED = "recovery_codes.created"
    RECOVERY_CODE_USED = "recovery_code.used"
    DEVICE_REMEMBERED = "device.remembered"
    DEVICES_FORGOTTEN = "devices.forgotten"
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    CSRF_REFUSED = "csrf.refused"
    SESSION_REUSED = "session.reused"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.others_ended"
    SESSIONS_ALL_ENDED = "sessions.all_ended"
    TOKEN_MISPLACED = "token.misplaced"
    TOKEN_REVOKED = "token.revoked"
    TOKEN_ADOPTED = "token.adopted"
    TOKEN_ADOPTION_REFUSED = "token.adoption_refused"
    TAKEOVER_STARTED = "takeover.started"
    TAKEOVER_STOPPED = "takeover.stopped"
    TAKEOVER_LISTED = "takeover.listed"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_RETIRED = "key.retired"
    SERVICE_CREATED = "service.created"
    SERVICE_DELETED = "service.deleted"
    SERVICE_REFUSED = "service.refused"
    MAIL_GIVEN_UP = "mail.given_up"
    LIMIT_REACHED = "limit.reached"
    SYSTEM_RESTORED = "system.restored"


def latest_events(limit: int, user_id: int | None = None) -> Sequence[AuditEvent]:
    """Return the newest events, of one user or of all, newest first."""
    newest = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if user_id is not None:
        newest = newest.where(AuditEvent.user_id == user_id)
    return db.session.scalars(newest).all()


def list_events(
    limit: int, *, before: int | None, user_id: int | None, event: str | None
) -> Sequence[AuditEvent]:
    """Return events, newest first: those older than ``before``, of a user, of a kind."""
    newest = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if before is not None:
        newest = newest.where(AuditEvent.id < before)
    if user_id is not None:
        newest = newest.where(AuditEvent.user_id == user_id)
    if event is not None:
        newest = newest.where(AuditEvent.event == event)
    return db.session.scalars(newest).all()


def count_events(event: Event, reason: str, since: datetime) -> int:
    """Return the number of events with a reason since a time."""
    wanted = (AuditEvent.event == event, AuditEvent.reason == reason, AuditEvent.at >= since)
    return db.session.scalar(select(func.count()).where(*wanted)) or 0


def as_shown_to_user(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as its user may see it.

    ``by_admin`` is whether an administrator caused it, whose client is left out.
    """
    by_admin = event["actor_id"] not in (None, event["user_id"])
    client = {"ip": None, "user_agent": None} if by_admin else {}
    return {**event, **client, "by_admin": by_admin}


def read_events(user_id: int) -> Iterator[list[dict[str, Any]]]:
    """Yield all events of a user in batches, newest first, as the user may see them.

    No transaction is open between two batches.
    """
    before = 2**63 - 1
    while rows := fetch_all(_BATCH, {"user_id": user_id, "before": before}):
        yield [as_shown_to_user(row._asdict()) for row in rows]
        before = rows[-1].id


_BATCH = (
    select(AuditEvent.__table__)
    .where(AuditEvent.user_id == bindparam("user_id"), AuditEvent.id < bindparam("before"))
    .order_by(AuditEvent.id.desc())
    .limit(1000)
)

_INSERT = insert(AuditEvent.__table__)  # type: ignore[arg-type]


def record(
    event: Event,
    *,
    user_id: int | None = None,
    session_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    """Add an event to the caller's transaction, with the client of the request.

    The event must not contain what a user typed. From here on the transaction writes: on SQLite,
    count rate limits and allocate indexes before.
    """
    db.session.execute(_INSERT, _row(event, user_id, session_id, reason))


def record_all(event: Event, users: Iterable[tuple[int, str]]) -> None:
    """Add an event for each user and reason to the caller's transaction."""
    rows = [_row(event, user_id, None, reason) for user_id, reason in users]
    db.session.execute(_INSERT, rows)


def record_hourly(
    event: Event, *, user_id: int, session_id: UUID | None = None, reason: str | None = None
) -> None:
    """Record an event that happens often, unless it was recorded lately.

    It is recorded if the account's latest events contain none of the last hour with the same
    reason, and of the same session or, without one, of the same network. A client that repeats a
    call therefore does not push other events out of the activity.
    """
    network = network_of(current_client().ip)
    for row in latest_events(ACTIVITY_LENGTH, user_id):
        is_same = (row.event, row.session_id, row.reason) == (event, session_id, reason)
        if is_same and row.at > now() - HOUR and (session_id or network_of(row.ip) == network):
            return
    record(event, user_id=user_id, session_id=session_id, reason=reason)


def record_separately(
    event: Event,
    *,
    user_id: int | None = None,
    session_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    """Record an event in a transaction of its own.

    For a rejection, which changes nothing else.
    """
    with autocommit() as connection:
        connection.execute(_INSERT, _row(event, user_id, session_id, reason))


def forget_clients(user_id: int) -> None:
    """Set when the clients of a deleted account's events are forgotten.

    So are those of what it did as an administrator. sessions/pruning.py removes them after that
    time.
    """
    for concerned in (AuditEvent.user_id, AuditEvent.actor_id):
        theirs = update(AuditEvent).where(concerned == user_id)
        execute_in_transaction(theirs.values(forget_at=now() + KEEP_CLIENTS))


def _row(
    event: Event, user_id: int | None, session_id: UUID | None, reason: str | None
) -> dict[str, Any]:
    client = current_client()
    return {
        "event": event,
        "reason": reason,
        "user_id": user_id,
        "actor_id": client.actor_id,
        "session_id": session_id,
        "ip": client.ip,
        "user_agent": client.user_agent,
        "request_id": client.request_id,
    }
