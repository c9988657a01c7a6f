"""The mail worker: send queued mails, in one process of the cluster at a time.

A mail is claimed, sent, and deleted. A claim sets the time of the next attempt, so that no mail is
lost when a process dies. A mail is sent twice only if the process dies between its delivery and its
deletion. The secret of a link is created when its mail is sent: it is stored nowhere, and its
lifetime begins with the mail.
"""

import os
import secrets
import threading
from datetime import timedelta
from smtplib import SMTPException
from typing import Any, NamedTuple

from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives
from limits.errors import StorageError
from sqlalchemy import Row, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from pycoder import audit
from pycoder.audit import Event
from pycoder.client_info import ClientInfo, bound_client
from pycoder.clock import now
from pycoder.db.faults import is_unmigrated
from pycoder.db.files import checkpoint
from pycoder.db.leases import acquire_lease, release_lease
from pycoder.db.queries import autocommit, execute, fetch_one
from pycoder.extensions import db
from pycoder.mail import backend, links, queue, rendering
from pycoder.mail.backend import MailRefused
from pycoder.mail.links import Purpose
from pycoder.mail.queue import Template
from pycoder.metrics import MAILS
from pycoder.models.mail import OneTimeToken, OutgoingMail
from pycoder.models.user import User, lock_user, normalize_identifier
from pycoder.ratelimit import limiter

LEASE_DURATION = timedelta(minutes=1)  # after it, another process replaces one that died
SEND_TIMEOUT = timedelta(minutes=10)  # longer than the delivery of a mail can take
RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (30, 60, 120, 240, 480, 900))
REFUSAL_DELAYS = (timedelta(minutes=5), timedelta(hours=1))  # after a permanent refusal
GIVE_UP_AFTER = timedelta(days=1)
POLL_INTERVAL = 5.0  # seconds between two looks for mails that other processes queued or left
SHUTDOWN_TIMEOUT = 20.0  # seconds that an exiting process waits for the mail that it is sending

# The mails that are limited before they are queued, or have no limit.
LIMITED_BEFORE = (
    *(Template.RESET_PASSWORD, Template.PASSWORD_VOIDED),
    *(Template.ACCOUNT_RECOVERED, Template.INVITATION),
)

# The secret is in the fragment, which browsers send to no server.
LINKS = {
    Template.VERIFY_EMAIL: (Purpose.VERIFY, "/verify-email#token="),
    Template.CHANGE_EMAIL: (Purpose.CHANGE, "/verify-email#token="),
    Template.RESET_PASSWORD: (Purpose.RESET, "/reset-password#token="),
    Template.PASSWORD_VOIDED: (Purpose.RESET, "/reset-password#token="),
    Template.ACCOUNT_RECOVERED: (Purpose.RESET, "/reset-password#token="),
    Template.INVITATION: (Purpose.INVITE, "/accept-invitation#token="),
    Template.UNDO_EMAIL: (Purpose.UNDO, "/undo-email#token="),
    Template.FIRST_FACTOR_ADDED: (Purpose.UNDO_FACTORS, "/undo-factors#token="),
    Template.FIRST_PASSKEY_ADDED: (Purpose.UNDO_FACTORS, "/undo-factors#token="),
}


class SendResult(NamedTuple):
    """The number of mails that were sent, and whether one failed."""

    sent: int
    failed: bool


def start(app: Flask) -> None:
    """Send mails in a thread of this process until it ends. Call it after the fork.

    A second call in a process does nothing.
    """
    stop = threading.Event()
    if app.extensions.setdefault(f"pycoder.mail_worker.{os.getpid()}", stop) is not stop:
        return
    worker = threading.Thread(target=_run, args=(app, stop), name="mail worker", daemon=True)
    worker.start()
    threading.Thread(target=_stop_with_process, args=(worker, stop), name="mail stopper").start()


def start_with_first_request(app: Flask) -> None:
    """Send mails from the first request of a process on, whatever serves it."""
    wsgi_app = app.wsgi_app

    def first(environ: dict[str, Any], start_response: Any) -> Any:
        app.wsgi_app = wsgi_app  # type: ignore[method-assign]
        start(app)
        return wsgi_app(environ, start_response)

    app.wsgi_app = first  # type: ignore[method-assign]


def _stop_with_process(worker: threading.Thread, stop: threading.Event) -> None:
    """Stop the worker when the process ends, and wait for the mail that it is sending.

    The main thread of a process ends before Python joins the other threads, in workers of
    ``multiprocessing``, too, where no ``atexit`` function runs.
    """
    threading.main_thread().join()
    _stop(worker, stop)


def _stop(worker: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    queue.mail_queued.set()
    worker.join(SHUTDOWN_TIMEOUT)


def _run(app: Flask, stop: threading.Event) -> None:
    while not stop.is_set():
        queue.mail_queued.clear()
        with app.app_context():
            try:
                send_due(stop)
            except Exception as error:
                if is_unmigrated(error):
                    app.logger.error("no mail is sent; run flask db upgrade")
                else:
                    app.logger.exception("sending mails failed; retrying in a moment")
        queue.mail_queued.wait(POLL_INTERVAL)


def count_queued() -> int:
    """Return how many mails are in the outbox."""
    return db.session.scalar(select(func.count(OutgoingMail.id))) or 0


def send_due(stop: threading.Event | None = None) -> SendResult:
    """Send the mails that are due, by priority and then oldest first.

    Stops when ``stop`` is set, when the mail server fails, or when another process has the lease. A
    mail that is refused delays no other.
    """
    holder, sent, failed, error = secrets.token_hex(8), 0, False, None
    if fetch_one(_DUE, {"at": now()}) is None:
        return SendResult(0, False)
    try:
        while (
            not (isinstance(error, OSError) or (stop and stop.is_set()))
            and acquire_lease("mail", holder, LEASE_DURATION)
            and (row := _claim())
        ):
            error = _send(row)
            failed = failed or error is not None
            sent += error is None
    finally:
        release_lease("mail", holder)
        with autocommit() as connection:
            connection.execute(delete(OneTimeToken).where(OneTimeToken.expires_at <= now()))
        if sent:
            checkpoint(current_app.extensions["pycoder.config"])
    return SendResult(sent, failed)


_DUE = (
    select(OutgoingMail.__table__)
    .where(OutgoingMail.due_at <= bindparam("at"))
    .order_by(OutgoingMail.priority, OutgoingMail.due_at, OutgoingMail.id)
    .limit(1)
)
_CLAIM = update(OutgoingMail).where(
    OutgoingMail.id == bindparam("mail"), OutgoingMail.tries == bindparam("expected_tries")
)


def _claim() -> Row[Any] | None:
    """Claim the first of the mails that are due, for as long as sending it may take."""
    while row := fetch_one(_DUE, {"at": now()}):
        claim = {"due_at": now() + SEND_TIMEOUT, "tries": row.tries + 1}
        if execute(_CLAIM, {"mail": row.id, "expected_tries": row.tries, **claim}):
            return row
    return None


def _send(row: Row[Any]) -> Exception | None:
    """Send a claimed mail and delete it, and return the error if that failed.

    An ``OSError`` is a failure of the mail server. Any other error concerns this mail alone.
    """
    try:
        message = _prepare(row)
        if message is None:
            _delete(row)
            return None
        with backend.deliver(message):
            _delete(row)
    except (SQLAlchemyError, StorageError):
        raise
    except Exception as error:
        _reschedule(row, error)
        return error
    MAILS.labels("sent").inc()
    return None


def _delete(row: Row[Any]) -> None:
    with autocommit() as connection:
        connection.execute(delete(OutgoingMail).where(OutgoingMail.id == row.id))


def _reschedule(row: Row[Any], error: Exception) -> None:
    """Retry after growing pauses, for a day, or give up after three refusals.

    A retry waits behind all mails that were not tried yet.
    """
    reason = _describe(error)
    mail = f"mail {row.id} ({row.template}) to user {row.user_id}"
    refusals = row.refusals + _is_permanent(error)
    if refusals > len(REFUSAL_DELAYS) or row.created_at <= now() - GIVE_UP_AFTER:
        current_app.logger.error("%s given up after %d attempts: %s", mail, row.tries + 1, reason)
        MAILS.labels("given_up").inc()
        with bound_client(ClientInfo(**row.client)):
            audit.record_separately(Event.MAIL_GIVEN_UP, user_id=row.user_id, reason=row.template)
        _delete(row)
        return
    pause = RETRY_DELAYS[min(row.tries, len(RETRY_DELAYS) - 1)]
    if _is_permanent(error):
        pause = REFUSAL_DELAYS[row.refusals]
    current_app.logger.warning("%s not sent, next attempt in %s: %s", mail, pause, reason)
    MAILS.labels("put_off").inc()
    retry = {"due_at": now() + pause, "refusals": refusals}
    retry["priority"] = queue.priority_of(row.template) + queue.BEHIND_OTHERS
    execute(_CLAIM, {"mail": row.id, "expected_tries": row.tries + 1, **retry})


def _describe(error: Exception) -> str:
    """Return the reason of a failure for the log, without the address of a person.

    A reply of the mail server may quote one, so only its code is logged.
    """
    reason = f"{type(error).__name__} {getattr(error, 'smtp_code', '')}".strip()
    if not isinstance(error, OSError):
        return reason
    text = "" if isinstance(error, SMTPException) or "@" in str(error) else f": {error}"
    return f"{reason} at {current_app.config['MAIL_SERVER'] or 'MAIL_URL'}{text}"


def _is_permanent(error: Exception) -> bool:
    """Return whether a failure concerns the mail itself, and will not pass."""
    temporary = isinstance(error, MailRefused) and error.smtp_code < 500
    return not (temporary or isinstance(error, OSError))


def _prepare(row: Row[Any]) -> EmailMultiAlternatives | None:
    """Render a mail for the client that caused it, or return ``None`` to drop it."""
    if _is_over_limit(row):
        return None
    with bound_client(ClientInfo(**row.client)):
        to, link = _create_link(row) if row.template in LINKS else (row.to, "")
        if row.template in (Template.FIRST_FACTOR_ADDED, Template.FIRST_PASSKEY_ADDED):
            to = row.to  # a notice, which is sent without its link, too
        values = {"link": link, "at": row.created_at, "numbers": row.numbers}
        return rendering.render(row.template, to, **values) if to else None


def _is_over_limit(row: Row[Any]) -> bool:
    """Count a mail to an unconfirmed address, and return whether it is one too many.

    The limit keeps an attacker from flooding the mailbox of another person. All mails that the
    person has not asked for share one counter of the address, because accounts can be deleted and
    registered again. The link that undoes a change has its own, so that a thief cannot use it up.
    Resets and invitations are limited when they are requested, or caused by an administrator.
    """
    if row.confirmed or row.tries > 0 or row.template in LIMITED_BEFORE:
        return False
    kind = "undo" if row.template == Template.UNDO_EMAIL else "unasked"
    address = limiter.hash_identifier(normalize_identifier(row.to))
    return limiter.is_exceeded("reset.account", f"{kind}/{address}")


def _create_link(row: Row[Any]) -> tuple[str, str]:
    """Return the recipient and the link of a mail, or empty strings to drop it.

    It is dropped if the account is gone or deactivated, if the session that asked for the link has
    ended, or if the mail was cancelled.
    """
    purpose, path = LINKS[Template(row.template)]
    is_reset = row.template == Template.RESET_PASSWORD  # for an address that a client sent
    user = lock_user(User.email_key == row.to if is_reset else User.id == row.user_id)
    is_wanted = (OutgoingMail.id == row.id, links.is_asker_active(OutgoingMail))
    if user is None or db.session.scalar(select(OutgoingMail.id).where(*is_wanted)) is None:
        db.session.rollback()
        return "", ""
    is_undo = purpose in (Purpose.UNDO, Purpose.UNDO_FACTORS)
    email = row.to if is_undo or purpose is Purpose.CHANGE else None
    if is_undo:
        secret = links.issue_undo(user.id, row.to, purpose)
    else:
        secret = links.issue(user.id, purpose, email, row.session_id)
    if is_reset and row.tries == 0:
        audit.record(Event.PASSWORD_RESET_ASKED, user_id=user.id)
    db.session.commit()
    link = f"{current_app.config['FRONTEND_URL']}{path}{secret}"
    return (email or user.email, link) if secret else ("", "")
