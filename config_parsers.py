"""What a setting is, and the parsers that turn its text into a value.

A parser raises ``ValueError`` with a reason that does not quote the text, because the text may be a
secret.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

from fido2.rpid import suffixes

PLACEHOLDERS = ("change", "secret", "password", "example", "pycoder", "12345678")
MINIMUM_SECRET_BYTES = 32
WIDEST_NETWORK = 8  # bits; a wider one would believe every client
SHOWN = ("host=", "hostaddr=", "port=", "service=", "sslmode=", "tls=")  # others may be secret

LIMIT = r"[1-9]\d*/([1-9]\d*)?(second|minute|hour|day)"
DEFAULT_LIMITS = {
    "login.account": "10/15minute",
    "login.ip": "100/5minute",
    "register.ip": "30/hour",
    "register.form.ip": "100/hour",
    "second.account": "10/15minute",
    "second.week": "50/7day",
    "second.ip": "100/5minute",
    "account.writes": "60/hour",
    "refresh.session": "60/minute",
    "reset.account": "3/hour",
    "reset.ip": "30/hour",
    "introspect.ip": "100/5minute",
}


class Setting:
    """A setting: its parser, its default, and whether it is secret.

    A default may be a function of the configuration, or the value of the setting ``follows``.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        default: Any = None,
        *,
        secret: bool = False,
        follows: str = "",
    ):
        self.read, self.default, self.secret, self.follows = read, default, secret, follows

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, config: Any, owner: type | None = None) -> Any:
        if config is None:
            return self
        text = config.environ.get(self.name, "")
        if text:
            return self.read(text)
        if self.follows:
            return getattr(config, self.follows)
        return self.default(config) if callable(self.default) else self.default


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(text)

    return read


def is_weak_secret(secret: str) -> bool:
    """Return whether a secret has few distinct characters or contains a known word."""
    return len(set(secret)) < 10 or any(word in secret.lower() for word in PLACEHOLDERS)


def on_or_off(text: str) -> bool:
    """Parse a boolean."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be on or off")


def off_in_production(text: str) -> bool:
    """Parse a boolean that must not be true."""
    if on_or_off(text):
        raise ValueError("must be off in production")
    return False


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
        split_url(text)
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and not re.search("^/*$|:memory:|mode=memory", rest):
        return text
    raise ValueError("must be a postgresql:// URL, or sqlite:/// and a file")


def split_url(url: str) -> SplitResult:
    """Split a URL. Reject one whose host an unescaped character in a password hides.

    The parser of a library could find another host than this one. Python's own error for an invalid
    URL may quote a secret.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        options = re.sub(r"(^|&)from=[^&]*", "", parts.query)  # the sender of mails
        if parts.netloc.count("@") < 2 and "@" not in parts.path + options + parts.fragment:
            _ = parts.port  # raises ValueError if it is no number
            return parts
    raise ValueError(
        "hides its host; in a user name or password write / as %2F, @ as %40, # as %23, ? as %3F"
    )


def web_url(text: str) -> str:
    """Parse the URL that links are built from: a scheme, a host, perhaps a port."""
    parts = split_url(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// URL without query or fragment")
    if parts.username is not None:
        raise ValueError("must not contain a user name or password")
    if parts.path not in ("", "/"):
        raise ValueError("must not have a path; PyCoder needs a host of its own")
    return text.rstrip("/")


def issuer(text: str) -> str:
    """Parse the issuer of tokens (RFC 8414 §2). Verifiers compare it as it is."""
    plain = re.fullmatch(r"https?://[!-~]+", text) and not set(text) & set("?#@")
    if not plain or not split_url(text).hostname:
        raise ValueError("must be an http:// or https:// URL without credentials and query")
    return text


def frontend_url(text: str) -> str:
    """Parse the URL that contains the pages of mailed links. It may have a path."""
    return issuer(text).rstrip("/")


def audience(text: str) -> str:
    """Parse the audience of access tokens."""
    if not re.fullmatch(r"[!-+\--~]{1,200}", text):
        raise ValueError("must be 1 to 200 visible ASCII characters without a comma")
    return text


def origins(text: str) -> list[str]:
    """Parse exact origins of sites and apps. Patterns and ``*`` are rejected."""
    listed = [origin.strip().rstrip("/").lower() for origin in text.split(",") if origin.strip()]
    for origin in listed:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d+)?", origin):
            raise ValueError("must be origins like https://app.pycoder.dev, separated by commas")
    return listed


def networks(text: str) -> list[IPv4Network | IPv6Network]:
    """Parse addresses and networks."""
    with suppress(ValueError):
        listed = [ip_network(network.strip()) for network in text.split(",")]
        if all(network.prefixlen >= WIDEST_NETWORK for network in listed):
            return listed
    raise ValueError("must be addresses or networks like 192.0.2.0/24 (/8 or smaller), with commas")


def mail_url(text: str) -> str:
    """Parse the target of mails: a mail server, a directory, or standard output."""
    if text == "console:" or re.match(r"file:[^/\s]|file:/[^/\s]", text):
        return text
    parts = split_url(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    sender, tls = options.pop("from", "a@b"), options.pop("tls", "")
    known = not options and re.fullmatch(r"[!-~]+@[!-~]+", sender)
    schemes = {"": ("smtp", "smtps"), "0": ("smtp",), "1": ("smtp", "smtps")}.get(tls, ())
    if parts.scheme in schemes and parts.hostname and parts.port != 0 and known:
        return text
    raise ValueError(
        "must be smtp://host:port?tls=1&from=address, smtps://host, file:directory, or console:"
    )


def limit_storage(text: str) -> str:
    """Parse the storage of rate limits. ``tls=0`` is not passed to the library."""
    if text in ("database", "memory:"):
        return text
    if text.startswith(("redis://", "rediss://")) and split_url(text):
        return re.sub(r"\?tls=0$|(?<=\?)tls=0&|&tls=0(?=&|$)", "", text)
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


def is_local(host: str) -> bool:
    """Return whether a host is this machine: a socket, or a loopback address."""
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return not host or host[0] in "/@" or host == "localhost" or host.endswith(".localhost")


def in_clear(url: str, environ: Mapping[str, str]) -> str:
    """Return why a URL sends credentials in clear to another machine, or nothing.

    It may do so if the URL says so in words.
    """
    if not url.lower().startswith(("smtp:", "redis:", "postgres")):
        return ""
    parts = split_url(url)
    options, host = parse_qs(parts.query), parts.hostname or ""
    if parts.scheme == "smtp" and parts.username and "tls" not in options and not is_local(host):
        return "sends the password in clear; add tls=1, or allow it with tls=0"
    if parts.scheme == "redis" and options.get("tls") != ["0"] and not is_local(host):
        return "is not encrypted; use rediss://, or allow it with ?tls=0"
    if parts.scheme in ("smtp", "redis"):
        return ""
    named = [host, *(",".join(options.get(name, [])) for name in ("host", "hostaddr", "service"))]
    defaults = [environ.get(name, "") for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE")]
    mode = options.get("sslmode", [environ.get("PGSSLMODE", "")])[-1]
    if mode in ("require", "verify-ca", "verify-full", "disable"):
        return ""
    # libpq prefers a host address to the host, also one of the environment
    effective = [*named, environ.get("PGHOSTADDR", "")] if any(named) else defaults
    hosts = ",".join(effective).split(",")
    if all(is_local(re.sub(r"^([^:]*|\[.*\]):\d+$", r"\1", one)) for one in hosts):
        return ""
    return "may not be encrypted; add sslmode=verify-full or require, or allow it with disable"


def masked(text: str) -> str:
    """Mask the credentials of a URL, and the parameters that may contain some."""
    if "://" not in text:
        return text
    address, mark, query = text.partition("?")
    parameters = [part if part.startswith(SHOWN) else "***" for part in query.split("&") if part]
    shown = "&".join(dict.fromkeys(parameters))
    return re.sub(r"(?<=://).*(?=@)", "***", address) + mark + shown


def relying_party(text: str) -> str:
    """Return the relying party ID of passkeys: a domain (WebAuthn Level 3 §5.1.2)."""
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", text):
        raise ValueError("must be a domain in lower case, such as example.com")
    return text


def unusable_relying_party(rp_id: str) -> str:
    """Return why browsers refuse a relying party ID, or nothing (WebAuthn L3 §5.1.3)."""
    with suppress(ValueError):
        ip_address(rp_id.strip("[]"))
        return "must be a domain, because browsers refuse passkeys for IP addresses"
    if rp_id != "localhost" and ("." not in rp_id or rp_id in suffixes):
        return "must be a domain of your own, such as auth.example.com or example.com"
    return ""
