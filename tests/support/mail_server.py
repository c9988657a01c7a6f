"""A real SMTP server that keeps what arrives."""

import asyncio
import email
import email.policy
import re
import time
from typing import NamedTuple

from aiosmtpd.controller import Controller

from tests.support.ports import free_port


class Mail(NamedTuple):
    """A received mail: its recipient, its headers and both of its texts."""

    to: str
    headers: email.message.EmailMessage
    text: str
    html: str

    @property
    def subject(self):
        return self.headers["Subject"]

    @property
    def link(self):
        [link] = re.findall(r"https?://\S+#\S+", self.text)
        return link

    @property
    def token(self):
        return self.link.partition("#token=")[2]


class MailServer:
    """A real SMTP server.

    Each mail consumes one of ``scripted_replies``: ``"refuses"`` answers 451, ``"drops"`` closes
    the connection, ``"takes it and drops"`` closes it after the mail is accepted, and a number
    delays the acceptance by so many seconds, and ``"stalls"`` until the server stops. Without a
    scripted reply the mail is accepted. ``refused`` maps a recipient, or the command ``MAIL``, to
    the reply that refuses it.
    """

    def __init__(self, tls_context=None, ssl_context=None, **options):
        self.options = options
        self.refused = {}
        self.mails, self.scripted_replies, self.talking, self.most_at_once = [], [], 0, 0
        self.port, self.controller = free_port(), None
        self.tls = {"tls_context": tls_context, "ssl_context": ssl_context}
        self.url = f"smtp://127.0.0.1:{self.port}"

    def start(self):
        where = {"hostname": "127.0.0.1", "port": self.port}
        self.controller = Controller(self, **where, **self.tls, **self.options)
        self.controller.start()
        return self

    def stop(self):
        if self.controller:
            self.controller.stop()
        self.controller = None

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_from = address
        return self.refused.get("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):
        envelope.rcpt_tos.append(address)
        return self.refused.get(address, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        self.talking += 1
        self.most_at_once = max(self.most_at_once, self.talking)
        try:
            reply = self.scripted_replies.pop(0) if self.scripted_replies else None
            if reply == "refuses":
                return "451 Not now"
            if reply == "drops":
                server.transport.abort()
                return "421 Gone"
            while reply == "stalls":
                await asyncio.sleep(0.01)
            if isinstance(reply, (int, float)):
                await asyncio.sleep(reply)
            self._take(envelope)
            if reply == "takes it and drops":
                server.transport.abort()
            return "250 Taken"
        finally:
            self.talking -= 1

    def _take(self, envelope):
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        texts = [found.get_body((kind,)).get_content() for kind in ("plain", "html")]
        [to] = envelope.rcpt_tos
        self.mails.append(Mail(to, found, *texts))

    def wait_for(self, count):
        """Wait until so many mails have arrived, and return all of them."""
        deadline = time.monotonic() + 20
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} of {count} mails came in 20 s"
            time.sleep(0.02)
        return self.mails

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
