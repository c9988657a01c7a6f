"""The mail queue: mails wait in the outbox table until the worker sends them."""

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, event, insert, select

from pycoder.client_info import ClientInfo
from pycoder.db.queries import execute_in_transaction
from pycoder.extensions import db
from pycoder.models.mail import OutgoingMail
from pycoder.models.user import User

mail_queued = threading.Event()  # set when a mail was committed by this process


class Template(StrEnum):
    """What can be mailed; each has a file in templates/mail."""

    VERIFY_EMAIL = "verify_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"
    EMAIL_CHANGE_ASKED = "email_change_asked"
    EMAIL_CHANGED = "email_changed"
    PASSWORD_CHANGED = "password_changed"
    SESSION_REUSED = "session_reused"
    NEW_DEVICE = "new_device"


WITH_LINK = (Template.VERIFY_EMAIL, Template.CHANGE_EMAIL, Template.RESET_PASSWORD)

_INSERT = insert(OutgoingMail.__table__)  # type: ignore[arg-type]


def enqueue(template: Template, to: str, client: ClientInfo, *, user_id: int | None = None) -> None:
    """Add a mail to the caller's transaction; it is sent once that is committed."""
    known = {"ip": client.ip, "user_agent": client.user_agent, "request_id": client.request_id}
    db.session.execute(
        _INSERT, {"template": template, "to": to, "user_id": user_id, "client": known}
    )
    db.session.info["queued"] = True


def cancel(user: User, *templates: Template) -> None:
    """Take back the links that wait to be mailed for an account: these, or all."""
    named = OutgoingMail.template.in_(templates or WITH_LINK)
    theirs = (OutgoingMail.user_id == user.id) | (OutgoingMail.to == user.email_key)
    execute_in_transaction(delete(OutgoingMail).where(named, theirs))


def queued_for(user: User) -> Sequence[OutgoingMail]:
    """Return the mails that an account has caused, and what was asked for with its address."""
    asked = OutgoingMail.user_id.is_(None) & (OutgoingMail.to == user.email_key)
    theirs = select(OutgoingMail).where((OutgoingMail.user_id == user.id) | asked)
    return db.session.scalars(theirs.order_by(OutgoingMail.id)).all()


@event.listens_for(db.session, "after_commit")
def _wake_worker(session: Any) -> None:
    if session.info.pop("queued", False):
        mail_queued.set()
