"""Mails: put into the outbox by what causes them, worded from templates, handed to a mail server.

A mail holds nothing that somebody typed, so that nobody can have us write to a third person.
"""

import re
import smtplib
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from email_validator import validate_email
from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives, Mail
from flask_mailman.backends.smtp import EmailBackend
from sqlalchemy import delete, event, insert, select

from pycoder.audit import Client
from pycoder.extensions import changed, db
from pycoder.models import OutgoingMail, User

PATIENCE = 30  # seconds for each answer of a mail server
BROWSERS = r"(Firefox|Edg|OPR|Chrome|Safari|curl)"
SYSTEMS = r"(Windows|Android|iPhone|iPad|Mac OS X|Linux)"
COMMON_NAMES = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}

queued = threading.Event()  # set when a mail was committed by this process


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

_QUEUE = insert(OutgoingMail.__table__)  # type: ignore[arg-type]


def queue(template: Template, to: str, client: Client, *, user_id: int | None = None) -> None:
    """Add a mail to the caller's transaction; it is sent once that is committed."""
    known = {"ip": client.ip, "user_agent": client.user_agent, "request_id": client.request_id}
    db.session.execute(
        _QUEUE, {"template": template, "to": to, "user_id": user_id, "client": known}
    )
    db.session.info["queued"] = True


def withdraw(user: User, *templates: Template) -> None:
    """Take back the links that wait to be mailed for an account: these, or all."""
    named = OutgoingMail.template.in_(templates or WITH_LINK)
    theirs = (OutgoingMail.user_id == user.id) | (OutgoingMail.to == user.email_key)
    changed(delete(OutgoingMail).where(named, theirs))


def waiting(user: User) -> Sequence[OutgoingMail]:
    """Return the mails that an account has caused, and what was asked for with its address."""
    asked = OutgoingMail.user_id.is_(None) & (OutgoingMail.to == user.email_key)
    theirs = select(OutgoingMail).where((OutgoingMail.user_id == user.id) | asked)
    return db.session.scalars(theirs.order_by(OutgoingMail.id)).all()


@event.listens_for(db.session, "after_commit")
def _wake_the_sender(session: Any) -> None:
    if session.info.pop("queued", False):
        queued.set()


def word(
    template: str, to: str, *, link: str, at: datetime, client: Client
) -> EmailMultiAlternatives:
    """Write a mail, as text and as HTML.

    Its domain is spelled in ASCII by the rules that judged the address (IDNA 2008). Flask-Mailman
    would do so by those of 2003, under which a mail to ``faß.de`` goes to the owner of ``fass.de``.
    """
    mailbox = to.rpartition("@")[0]
    to = f"{mailbox}@{validate_email(to, check_deliverability=False).ascii_domain}"
    source = current_app.jinja_env.get_template(f"mail/{template}.jinja")
    values = {
        "link": link,
        "at": f"{at:%d %B %Y, %H:%M} UTC",
        "ip": client.ip,
        "device": device_name(client.user_agent),
        "home": current_app.config["PUBLIC_URL"],
    }
    subject = "".join(source.blocks["subject"](source.new_context(values)))
    text, html = (source.render(layout=f"mail/layout.{kind}", **values) for kind in ("txt", "html"))
    message = EmailMultiAlternatives(subject, text, to=[to])
    message.attach_alternative(html, "text/html")
    message.extra_headers["Auto-Submitted"] = "auto-generated"  # RFC 3834: no replies by machines
    return message


def device_name(user_agent: str | None) -> str:
    """Name a browser and system in our own words: what a client sends may be made up to be read."""
    found = [re.search(words, user_agent or "") for words in (BROWSERS, SYSTEMS)]
    return " on ".join(COMMON_NAMES.get(name[1], name[1]) for name in found if name)


class NoMailServer(OSError):
    """Where others read the log, a mail needs a ``MAIL_URL`` that names a server."""


@contextmanager
def handed_over(message: EmailMultiAlternatives) -> Iterator[None]:
    """Hand a mail to the mail server, and enter when that has taken it.

    Raises what the server or the network answers; taking leave of the server cannot fail.
    """
    if not current_app.config["MAIL_TO_CONSOLE"] and _state().backend == "console":
        raise NoMailServer
    connection = _state().get_connection()
    try:
        connection.open()
        connection.send_messages([message])
        yield
    finally:
        with suppress(OSError):  # smtplib's errors are among them
            connection.close()


def _state() -> Any:
    return current_app.extensions["mailman"]


class VerifyingSMTP(smtplib.SMTP):
    """SMTP whose STARTTLS asks the server for a certificate that is its own."""

    def starttls(self, *, context: Any = None) -> Any:  # type: ignore[override]
        """Begin TLS; by itself, smtplib would believe any certificate."""
        return super().starttls(context=context or ssl.create_default_context())


class SMTPBackend(EmailBackend):  # type: ignore[misc]
    """Flask-Mailman's SMTP, with certificates verified also after STARTTLS."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return smtplib.SMTP_SSL if self.use_ssl else VerifyingSMTP


def init_app(app: Flask) -> None:
    """Tell Flask-Mailman what ``MAIL_URL`` says.

    A sender that it does not name is ``no-reply`` at the host of ``PUBLIC_URL``.
    """
    url = app.config["MAIL_URL"]
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    tls, at_once = options.get("tls") == "1", parts.port == 465
    sender = options.get("from") or f"no-reply@{urlsplit(app.config['PUBLIC_URL']).hostname}"
    app.config.update(
        MAIL_BACKEND=SMTPBackend if parts.scheme == "smtp" else parts.scheme,
        MAIL_SERVER=parts.hostname,
        MAIL_PORT=parts.port or 25,
        MAIL_USERNAME=unquote(parts.username or ""),
        MAIL_PASSWORD=unquote(parts.password or ""),
        MAIL_USE_TLS=tls and not at_once,
        MAIL_USE_SSL=tls and at_once,
        MAIL_TIMEOUT=PATIENCE,
        MAIL_DEFAULT_SENDER=("PyCoder", sender),
        MAIL_FILE_PATH=url.removeprefix("file:"),
    )
    Mail(app)
