"""Deliver mails through Flask-Mailman, configured from ``MAIL_URL``."""

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives, Mail
from flask_mailman.backends.smtp import EmailBackend

REFUSALS = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPNotSupportedError)
SERVICE_UNAVAILABLE = 421  # the server closes the connection (RFC 5321 §3.8)
SMTP_TIMEOUT = 30  # seconds for each reply of a mail server


class MailRefused(Exception):
    """The mail server refused this mail, and accepts mails to other recipients.

    ``smtp_code`` is the reply of the server. It is 550 if no reply exists.
    """

    def __init__(self, smtp_code: int):
        super().__init__(smtp_code)
        self.smtp_code = smtp_code


@contextmanager
def deliver(message: EmailMultiAlternatives) -> Iterator[None]:
    """Deliver a mail, and run the ``with`` block once the mail server has accepted it.

    Raises ``MailRefused`` for this mail alone. Raises ``OSError``, of which the errors of
    ``smtplib`` are subclasses, if the next mail would fail, too. An error while the connection is
    closed is ignored.
    """
    if current_app.config["MAIL_BACKEND"] == "file":  # the links in the mails are secret
        os.makedirs(current_app.config["MAIL_FILE_PATH"], 0o700, exist_ok=True)
    connection = _mailman().get_connection()
    try:
        connection.open()
        try:
            connection.send_messages([message])
        except REFUSALS as error:
            if (code := _reply_code(error)) == SERVICE_UNAVAILABLE:
                raise
            raise MailRefused(code) from None
        yield
    finally:
        with suppress(OSError):  # smtplib's errors included
            connection.close()


def _reply_code(error: Any) -> int:
    """Return the reply that refused the one recipient of a mail, or its text.

    A server without ``SMTPUTF8`` is never asked about an address that requires it.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        [(code, _)] = error.recipients.values()
        return code
    return getattr(error, "smtp_code", 550)


def _mailman() -> Any:
    return current_app.extensions["mailman"]


class VerifyingSMTP(smtplib.SMTP):
    """SMTP with a STARTTLS that verifies the certificate of the server."""

    def starttls(self, *, context: Any = None) -> Any:  # type: ignore[override]
        """Begin TLS. By default, smtplib accepts any certificate."""
        return super().starttls(context=context or ssl.create_default_context())


class SMTPBackend(EmailBackend):  # type: ignore[misc]
    """Flask-Mailman's SMTP backend, with verified TLS and non-ASCII mailboxes."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return smtplib.SMTP_SSL if self.use_ssl else VerifyingSMTP

    def send_messages(self, email_messages: list[EmailMultiAlternatives]) -> int:
        """Send one mail, by SMTPUTF8 if its mailbox is not ASCII (RFC 6531).

        Flask-Mailman would encode ``jürgen`` as ``=?utf-8?q?j=C3=BCrgen?=``, which is the mailbox
        of another person. Raises what ``smtplib`` raises.
        """
        [message] = email_messages
        if message.to[0].isascii():
            return int(super().send_messages(email_messages))
        content = message.message()
        del content["To"]  # it has the encoded mailbox
        sender = parseaddr(content["From"])[1]
        text = content.as_bytes(linesep="\r\n")
        self.connection.sendmail(sender, message.to, text, ["SMTPUTF8"])
        return 1


def init_app(app: Flask) -> None:
    """Configure Flask-Mailman from ``MAIL_URL``.

    The default sender is ``no-reply`` at the host of ``PUBLIC_URL``.
    """
    url = app.config["MAIL_URL"]
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    port = parts.port or (465 if parts.scheme == "smtps" else 25)
    tls = parts.scheme == "smtps" or options.get("tls") == "1"
    implicit = parts.scheme == "smtps" or port == 465
    sender = options.get("from") or f"no-reply@{urlsplit(app.config['PUBLIC_URL']).hostname}"
    app.config.update(
        MAIL_BACKEND=SMTPBackend if parts.scheme in ("smtp", "smtps") else parts.scheme,
        MAIL_SERVER=parts.hostname,
        MAIL_PORT=port,
        MAIL_USERNAME=unquote(parts.username or ""),
        MAIL_PASSWORD=unquote(parts.password or ""),
        MAIL_USE_TLS=tls and not implicit,
        MAIL_USE_SSL=tls and implicit,
        MAIL_TIMEOUT=SMTP_TIMEOUT,
        MAIL_DEFAULT_SENDER=("PyCoder", sender),
        MAIL_FILE_PATH=url.removeprefix("file:"),
    )
    Mail(app)
