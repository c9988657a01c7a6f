"""What a setting is, and the parsers that turn its text into a value.

A parser raises ``ValueError`` with a reason that does not quote the text, because the text may be a
secret.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

MINIMUM_SECRET_BYTES = 32

LIMIT = r"[1-9]\d*/([1-9]\d*)?(second|minute|hour|day)"
DEFAULT_LIMITS = {
    "login.account": "10/15minute",
    "login.ip": "100/5minute",
    "register.ip": "30/hour",
    "refresh.session": "60/minute",
    "reset.account": "3/hour",
    "reset.ip": "30/hour",
    "introspect.ip": "100/5minute",
}


class Setting:
    """A setting: its parser, its default, and whether it is secret.

    A default may be a function of the configuration.
    """

    def __init__(self, read: Callable[[str], Any], default: Any, *, secret: bool = False):
        self.read, self.default, self.secret = read, default, secret

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, config: Any, owner: type | None = None) -> Any:
        if config is None:
            return self
        text = config.environ.get(self.name, "")
        if text:
            return self.read(text)
        return self.default(config) if callable(self.default) else self.default


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(text)

    return read


def on_or_off(text: str) -> bool:
    """Parse a boolean."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be on or off")


def one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return read


def secret_key(text: str) -> str:
    """Parse a key that is long enough for HS256 (RFC 7518 §3.2)."""
    if len(text.encode()) < MINIMUM_SECRET_BYTES:
        raise ValueError(f"must be {MINIMUM_SECRET_BYTES} bytes or more")
    return text


def database_url(text: str) -> str:
    """Parse a database URL. The driver of PostgreSQL is always psycopg 3."""
    scheme, _, rest = text.partition("://")
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and not re.search("^/*$|:memory:|mode=memory", rest):
        return text
    raise ValueError("must be a postgresql:// URL, or sqlite:/// and a file")


def split_url(url: str) -> SplitResult:
    """Split a URL. Python's own error for an invalid URL may quote a secret."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("is not a URL; in a password write / as %2F, @ as %40, # as %23") from None
    return urlsplit(url)


def web_url(text: str) -> str:
    """Parse the URL that links are built from."""
    parts = split_url(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// URL without query or fragment")
    return text.rstrip("/")


def origins(text: str) -> list[str]:
    """Parse exact origins. Patterns and ``*`` are rejected."""
    listed = [origin.strip().rstrip("/") for origin in text.split(",") if origin.strip()]
    for origin in listed:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", origin):
            raise ValueError("must be origins like https://app.pycoder.dev, separated by commas")
    return listed


def mail_url(text: str) -> str:
    """Parse the target of mails: a mail server, a directory, or standard output."""
    parts = split_url(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    sender = options.pop("from", "a@b")
    known = options in ({}, {"tls": "0"}, {"tls": "1"}) and re.fullmatch(r"[!-~]+@[!-~]+", sender)
    server = parts.scheme == "smtp" and parts.hostname and parts.port != 0 and known
    if text == "console:" or re.match(r"file:[^/\s]|file:/[^/\s]", text) or server:
        return text
    raise ValueError(
        "must be console:, file: and a directory, or smtp://host:port?tls=1&from=address"
    )


def limit_storage(text: str) -> str:
    """Parse the storage of rate limits."""
    if text in ("database", "memory:"):
        return text
    if text.startswith(("redis://", "rediss://")) and split_url(text):
        return text
    raise ValueError("must be database, memory:, or start with redis:// or rediss://")


def limits(text: str) -> dict[str, str]:
    """Parse ``on``, ``off``, or replaced defaults as ``login.ip=200/5minute;…``."""
    if "=" not in text:
        return DEFAULT_LIMITS if on_or_off(text) else {}
    changed = {}
    for part in text.split(";"):
        name, _, limit = part.strip().partition("=")
        if name not in DEFAULT_LIMITS or not re.fullmatch(LIMIT, limit):
            raise ValueError("must be on, off, or like login.ip=200/5minute;register.ip=5/hour")
        changed[name] = limit
    return {**DEFAULT_LIMITS, **changed}


def masked(text: str) -> str:
    """Mask the credentials and the query of a URL."""
    return re.sub(r"(?<=://).*(?=@)|(?<=\?).*", "***", text) if "://" in text else text
