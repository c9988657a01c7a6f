"""The mail queue: mails wait in the outbox table until the worker sends them.

No text of a mail comes from a client, so that an attacker cannot write to a third person.
"""

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, event, insert, select

from pycoder.client_info import current_client
from pycoder.db.queries import execute_in_transaction
from pycoder.extensions import db
from pycoder.models.mail import OutgoingMail
from pycoder.models.user import User

mail_queued = threading.Event()  # set when this process has committed a mail


class Template(StrEnum):
    """Every mail. Each has a file in ``templates/``."""

    VERIFY_EMAIL = "verify_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"
    EMAIL_CHANGE_ASKED = "email_change_asked"
    EMAIL_CHANGED = "email_changed"
    UNDO_EMAIL = "undo_email"
    EMAIL_CHANGE_UNDONE = "email_change_undone"
    PASSWORD_CHANGED = "password_changed"
    SESSION_REUSED = "session_reused"
    NEW_DEVICE = "new_device"
    FACTOR_ADDED = "factor_added"
    FIRST_FACTOR_ADDED = "first_factor_added"
    FACTOR_REMOVED = "factor_removed"
    PASSKEY_ADDED = "passkey_added"
    FIRST_PASSKEY_ADDED = "first_passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    PASSKEY_COUNTER_FELL = "passkey_counter_fell"
    FACTORS_RESET = "factors_reset"
    RECOVERY_CODE_USED = "recovery_code_used"
    NEW_RECOVERY_CODES = "new_recovery_codes"
    SECOND_STEP_FAILED = "second_step_failed"
    ADMIN_GRANTED = "admin_granted"
    INVITATION = "invitation"
    PASSWORD_VOIDED = "password_voided"
    ACCOUNT_RECOVERED = "account_recovered"
    SESSIONS_ENDED = "sessions_ended"
    ACCOUNT_DEACTIVATED = "account_deactivated"
    ACCOUNT_DELETED = "account_deleted"


SECURITY_NOTICE = 1
PRIORITIES = {  # lower numbers are sent first; a mail that is not listed is a security notice
    Template.RESET_PASSWORD: 0,
    Template.ACCOUNT_RECOVERED: 0,
    Template.VERIFY_EMAIL: 2,
    Template.CHANGE_EMAIL: 2,
    Template.INVITATION: 2,
}
BEHIND_OTHERS = 10  # added to the priority of a mail that is tried again

WITH_LINK = (
    *(Template.VERIFY_EMAIL, Template.CHANGE_EMAIL, Template.RESET_PASSWORD),
    *(Template.INVITATION, Template.PASSWORD_VOIDED, Template.ACCOUNT_RECOVERED),
)
LINK_MAILS = (*WITH_LINK, Template.UNDO_EMAIL)

_INSERT = insert(OutgoingMail.__table__)  # type: ignore[arg-type]


def enqueue(
    template: Template,
    to: str,
    *,
    user_id: int | None = None,
    session_id: UUID | None = None,
    confirmed: bool | None = None,
    **numbers: int,
) -> None:
    """Add a mail to the caller's transaction. The worker sends it after the commit.

    If a ``session_id`` is given, the worker drops the mail once that session has ended.
    ``confirmed`` is whether the user has proved to read the mails to this address. By default, that
    is so for the current address of the user if it has been verified. ``numbers`` are those that
    the template names. No other value can be put into a text. A mail that an administrator caused
    does not name the administrator's client.
    """
    client = current_client().as_shown_to(user_id)
    cause = {"ip": client.ip, "user_agent": client.user_agent, "request_id": client.request_id}
    row: dict[str, Any] = {
        "template": template,
        "to": to,
        "user_id": user_id,
        "session_id": session_id,
        "numbers": numbers,
    }
    if confirmed is None:
        verified = (User.id == user_id, User.email == to, User.email_verified)
        confirmed = db.session.scalar(select(User.id).where(*verified)) is not None
    row |= {"client": cause, "confirmed": confirmed, "priority": priority_of(template)}
    db.session.execute(_INSERT, row)
    db.session.info["queued"] = True


def priority_of(template: str) -> int:
    """Return the priority of a mail that has not been tried yet."""
    return PRIORITIES.get(Template(template), SECURITY_NOTICE)


def cancel(user: User, *templates: Template) -> None:
    """Delete queued mails of a user: those of ``templates``, or of ``WITH_LINK``."""
    named = OutgoingMail.template.in_(templates or WITH_LINK)
    theirs = (OutgoingMail.user_id == user.id) | (OutgoingMail.to == user.email_key)
    execute_in_transaction(delete(OutgoingMail).where(named, theirs))


def queued_for(user: User) -> Sequence[OutgoingMail]:
    """Return the queued mails of a user, and the resets for the user's address."""
    requested = OutgoingMail.user_id.is_(None) & (OutgoingMail.to == user.email_key)
    theirs = select(OutgoingMail).where((OutgoingMail.user_id == user.id) | requested)
    return db.session.scalars(theirs.order_by(OutgoingMail.id)).all()


@event.listens_for(db.session, "after_commit")
def _wake_worker(session: Any) -> None:
    if session.info.pop("queued", False):
        mail_queued.set()
