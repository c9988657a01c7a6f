"""The trail: security events, written in the transaction of the change they describe."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pycoder.extensions import db
from pycoder.models import AuditEvent


class Event(StrEnum):
    """What can be on record. The values are stable; operators search for them."""

    USER_REGISTERED = "user.registered"
    USER_CREATED = "user.created"
    USER_ACTIVATED = "user.activated"
    USER_DEACTIVATED = "user.deactivated"
    USER_DELETED = "user.deleted"
    PASSWORD_SET = "password.set"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_REFUSED = "login.refused"
    SESSION_REUSED = "session.reused"
    SESSION_ENDED = "session.ended"
    TOKEN_REVOKED = "token.revoked"


@dataclass(frozen=True)
class Client:
    """Who asks, as far as the door can tell; the command line leaves all of it empty."""

    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


COMMAND_LINE = Client()


def record(
    event: Event,
    client: Client,
    *,
    user_id: int | None = None,
    session_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    """Add an event to the caller's transaction. Nothing that somebody typed belongs into it."""
    db.session.add(
        AuditEvent(
            event=event,
            reason=reason,
            user_id=user_id,
            session_id=session_id,
            ip=client.ip,
            user_agent=client.user_agent,
            request_id=client.request_id,
        )
    )
