"""Render mails from templates, as text and as HTML."""

import re
from collections.abc import Mapping
from datetime import datetime

from email_validator import validate_email
from flask import current_app
from flask_mailman import EmailMultiAlternatives
from jinja2 import Environment, PackageLoader, select_autoescape

from pycoder.client_info import current_client

BROWSERS = r"(Firefox|Edg|OPR|Chrome|Safari|curl)"
SYSTEMS = r"(Windows|Android|iPhone|iPad|Mac OS X|Linux)"
COMMON_NAMES = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}

_templates = Environment(loader=PackageLoader("pycoder.mail"), autoescape=select_autoescape())


def render(
    template: str, to: str, *, link: str, at: datetime, numbers: Mapping[str, int]
) -> EmailMultiAlternatives:
    """Return a mail about a request that the current client made at the time ``at``.

    The domain is encoded with IDNA 2008, the rules that validated the address. Flask-Mailman would
    use IDNA 2003, which turns ``faß.de`` into ``fass.de``. That domain may have another owner.
    """
    mailbox = to.rpartition("@")[0]
    to = f"{mailbox}@{validate_email(to, check_deliverability=False).ascii_domain}"
    source = _templates.get_template(f"{template}.jinja")
    client = current_client()
    values = {
        **numbers,
        "link": link,
        "at": f"{at:%d %B %Y, %H:%M} UTC",
        "ip": client.ip,
        "device": device_name(client.user_agent),
        "home": current_app.config["FRONTEND_URL"],
    }
    text, html = (
        source.make_module({"layout": f"layout.{kind}", **values}) for kind in ("txt", "html")
    )
    message = EmailMultiAlternatives(vars(text)["subject"], str(text), to=[to])
    message.attach_alternative(str(html), "text/html")
    message.extra_headers["Auto-Submitted"] = "auto-generated"  # RFC 3834: no replies by machines
    return message


def device_name(user_agent: str | None) -> str:
    """Return the names of a client's browser and system, or an empty string.

    Only known names are returned, because an attacker can send any User-Agent.
    """
    matches = [re.search(names, user_agent or "") for names in (BROWSERS, SYSTEMS)]
    return " on ".join(COMMON_NAMES.get(match[1], match[1]) for match in matches if match)
