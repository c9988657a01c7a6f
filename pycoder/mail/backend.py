"""Delivery: Flask-Mailman configured from ``MAIL_URL``."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives, Mail
from flask_mailman.backends.smtp import EmailBackend

SMTP_TIMEOUT = 30  # seconds for each answer of a mail server


class NoMailServer(OSError):
    """Where others read the log, a mail needs a ``MAIL_URL`` that names a server."""


@contextmanager
def deliver(message: EmailMultiAlternatives) -> Iterator[None]:
    """Hand a mail to the mail server, and enter when that has taken it.

    Raises what the server or the network answers; taking leave of the server cannot fail.
    """
    if not current_app.config["MAIL_TO_CONSOLE"] and _mailman().backend == "console":
        raise NoMailServer
    connection = _mailman().get_connection()
    try:
        connection.open()
        connection.send_messages([message])
        yield
    finally:
        with suppress(OSError):  # smtplib's errors are among them
            connection.close()


def _mailman() -> Any:
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
        MAIL_TIMEOUT=SMTP_TIMEOUT,
        MAIL_DEFAULT_SENDER=("PyCoder", sender),
        MAIL_FILE_PATH=url.removeprefix("file:"),
    )
    Mail(app)
