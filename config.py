"""Settings, read from the environment and ``.env``, and checked before the start.

``load()`` chooses the class by ``PYCODER_ENV``. ``create_app`` calls ``check()``, which rejects an
unsafe setting. docs/operations.md describes the settings.
"""

import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from dotenv import dotenv_values

MINIMUM_SECRET_BYTES = 32
MINIMUM_PRODUCTION_ROUNDS = 12
PLACEHOLDERS = ("change", "secret", "password", "example", "pycoder", "12345678")

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


class ConfigError(Exception):
    """The settings are unsafe or invalid. The message is that of ``flask doctor``."""


class Setting:
    """A setting: its parser, its default, and whether it is secret.

    A default may be a function of the configuration. ``follows`` names a setting whose value is the
    default. A parser raises ``ValueError`` with a reason that does not quote the text, because the
    text may be a secret.
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


def issuer(text: str) -> str:
    """Parse the issuer of tokens (RFC 8414 §2). Verifiers compare it as it is."""
    if not re.fullmatch(r"[!-~]+", text) or set(text) & set("?#@") or not web_url(text):
        raise ValueError("must be an http:// or https:// URL without credentials and query")
    return text


def audience(text: str) -> str:
    """Parse the audience of access tokens."""
    if not re.fullmatch(r"[!-+\--~]{1,200}", text):
        raise ValueError("must be 1 to 200 visible ASCII characters without a comma")
    return text


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


def stored_secret(config: "Config") -> str:
    """Return the secret in ``instance/secret_key``, generated at the first start."""
    file = config.instance / "secret_key"
    if not file.exists():
        config.instance.mkdir(0o700, parents=True, exist_ok=True)  # the database, too
        draft = config.instance / f"secret_key.{secrets.token_hex(4)}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):  # of workers that start together, one succeeds
            os.link(draft, file)
        draft.unlink()
    if file.stat().st_mode & 0o077:
        raise ValueError("is in a file that others can read; chmod 600 instance/secret_key")
    return file.read_text().strip()


class Config:
    """The settings of every environment, and constants of PyCoder and its libraries.

    ``environ`` maps settings to their text. ``folder`` contains ``instance/`` and ``.env``.
    """

    PYCODER_ENV = Setting(one_of("development", "testing", "production"), "development")
    SECRET_KEY = Setting(secret_key, stored_secret, secret=True)
    DATABASE_URL = Setting(database_url, lambda config: f"sqlite:///{config.instance}/pycoder.db")
    PORT = Setting(whole_number(1, 65535), 8000)
    WEB_CONCURRENCY = Setting(whole_number(1, 512), os.cpu_count() or 1)
    JWT_ALGORITHM = Setting(one_of("EdDSA", "ES256", "RS256", "HS256"), "EdDSA")
    JWT_ACCESS_TOKEN_EXPIRES = Setting(whole_number(1, 86_400), 3600)
    JWT_REFRESH_TOKEN_EXPIRES = Setting(whole_number(1, 31_536_000), 604_800)
    SESSION_LIFETIME = Setting(whole_number(1, 31_536_000), 7_776_000)
    REFRESH_REUSE_LEEWAY = Setting(whole_number(0, 60), 0)
    BCRYPT_ROUNDS = Setting(whole_number(4, 18), 12)
    REGISTRATION_OPEN = Setting(on_or_off, True)
    PASSWORD_BLOCKLIST = Setting(on_or_off, False)
    PUBLIC_URL = Setting(web_url, lambda config: f"http://localhost:{config.PORT}")
    JWT_ISSUER = Setting(issuer, follows="PUBLIC_URL")
    JWT_AUDIENCE = Setting(audience, "pycoder")
    MAIL_URL = Setting(mail_url, "console:")
    CORS_ORIGINS = Setting(origins, [])
    TRUSTED_PROXIES = Setting(whole_number(0, 8), 0)
    RATE_LIMIT_STORAGE = Setting(limit_storage, "database")
    RATE_LIMITS = Setting(limits, DEFAULT_LIMITS)
    AUDIT_RETENTION = Setting(whole_number(1, 36_500), 365)
    WEB_TRANSPORT = Setting(one_of("cookie", "body"), "cookie")

    COOKIE_SECURE = False
    JWT_ACCESS_COOKIE_NAME, JWT_REFRESH_COOKIE_NAME = "access_token", "refresh_token"
    JWT_COOKIE_CSRF_PROTECT = False  # bound to one token, and fails at é; see auth/csrf.py
    MAIL_TO_CONSOLE = True  # off in production: a link in the log gives access to an account
    HASHING_QUEUE = 24  # passwords that can wait in one worker
    HASHING_PATIENCE = 10.0  # seconds
    REFRESH_RETRY_WINDOW = 300  # seconds in which a refresh may be repeated with its key
    EMAIL_LINK_LIFETIME = 86_400  # seconds; verification, and change of the address
    RESET_LINK_LIFETIME = 3600  # seconds
    SESSIONS_PER_USER = 100  # the surplus session that was used least recently ends
    MAX_CONTENT_LENGTH = 64 * 1024
    JWT_REFRESH_JSON_KEY = "refresh"

    def __init__(self, environ: Mapping[str, str], folder: Path, from_file: Mapping[str, str] = {}):
        self.environ, self.from_file = environ, from_file
        self.instance, self.dotenv = folder / "instance", folder / ".env"

    @property
    def HASHING_THREADS(self) -> int:
        """The number of hashing threads of a worker: its share of the cores."""
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        return int(max(1, cores // self.WEB_CONCURRENCY))

    @property
    def THREADS(self) -> int:
        """The number of request threads of a worker: seven more than can wait for a hash."""
        return self.HASHING_THREADS + self.HASHING_QUEUE + 7

    @property
    def SQLALCHEMY_DATABASE_URI(self) -> Any:
        return self.DATABASE_URL

    @property
    def SQLALCHEMY_BINDS(self) -> dict[str, Any]:
        """A second engine on the same database, with connections in autocommit."""
        bind = {"url": self.DATABASE_URL, "isolation_level": "AUTOCOMMIT"}
        bind["pool_reset_on_return"] = None  # there is never anything to roll back
        return {"autocommit": bind | self.SQLALCHEMY_ENGINE_OPTIONS}

    @property
    def SQLALCHEMY_ENGINE_OPTIONS(self) -> dict[str, Any]:
        """Engine options. Parameters are not logged, because they can be personal data."""
        postgresql = self.DATABASE_URL.startswith("postgresql")
        return {
            "hide_parameters": True,
            "connect_args": {"connect_timeout": 2} if postgresql else {},
            "pool_timeout": 2,
            "pool_size": 8,
            "max_overflow": 0,
            "pool_use_lifo": True,  # prefer the connection used last, whose caches are warm
        }

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return every setting by name, in the order of the table above."""
        members = {name: m for base in reversed(cls.__mro__) for name, m in vars(base).items()}
        return {name: m for name, m in members.items() if isinstance(m, Setting)}

    def source(self, name: str) -> str:
        """Return the source of a setting: ``default``, ``.env`` or ``environment``."""
        if not self.environ.get(name):
            return "default"
        return ".env" if self.from_file.get(name) == self.environ[name] else "environment"

    def _is_refused(self, name: str, complaints: Mapping[str, str]) -> bool:
        """Return whether a setting is refused, or the one that its default follows."""
        follows = self.source(name) == "default" and self.settings()[name].follows
        return name in complaints or follows in complaints

    def complaints(self) -> dict[str, str]:
        """Return the reason by setting for every invalid or unsafe setting."""
        errors: dict[str, str] = {}
        for name in self.settings():
            try:
                _ = self._is_refused(name, errors) or getattr(self, name)
            except (ValueError, OSError) as error:
                errors[name] = error.strerror or "" if isinstance(error, OSError) else str(error)
        return errors or self.cross_check()

    def cross_check(self) -> dict[str, str]:
        """Return the reason by setting for settings that contradict others."""
        errors = {}
        if self.JWT_ACCESS_TOKEN_EXPIRES > self.JWT_REFRESH_TOKEN_EXPIRES:
            errors["JWT_ACCESS_TOKEN_EXPIRES"] = "must not exceed JWT_REFRESH_TOKEN_EXPIRES"
        if self.JWT_REFRESH_TOKEN_EXPIRES > self.SESSION_LIFETIME:
            errors["JWT_REFRESH_TOKEN_EXPIRES"] = "must not exceed SESSION_LIFETIME"
        if self.JWT_AUDIENCE == self.JWT_ISSUER:
            errors["JWT_AUDIENCE"] = "must not be JWT_ISSUER, the audience of refresh tokens"
        if self.RATE_LIMIT_STORAGE.startswith("memory:") and self.WEB_CONCURRENCY > 1:
            errors["RATE_LIMIT_STORAGE"] = "memory: supports only WEB_CONCURRENCY=1"
        return errors

    def report(self) -> list[tuple[str, str, str, str]]:
        """Return (name, masked value, source, complaint) of every setting."""
        complaints = self.complaints()
        rows = []
        for name, setting in self.settings().items():
            hidden = setting.secret or self._is_refused(name, complaints)
            value = "(hidden)" if hidden else getattr(self, name)
            shown = masked(value) if isinstance(value, str) else str(value)
            rows.append((name, shown, self.source(name), complaints.get(name, "")))
        return rows

    def check(self) -> None:
        """Raise ``ConfigError`` for invalid or unsafe settings."""
        if self.complaints():
            raise ConfigError(format_report(self.report()))


class DevelopmentConfig(Config):
    """The development environment. Every setting has a default."""

    CORS_ORIGINS = Setting(origins, [re.compile(r"http://(localhost|127\.0\.0\.1)(:\d+)?\Z")])


class TestingConfig(Config):
    """The environment of the tests, with the lowest bcrypt cost."""

    TESTING = True
    __test__ = False  # pytest would collect a class of this name
    BCRYPT_ROUNDS = Setting(whole_number(4, 18), 4)
    HASHING_PATIENCE = 60.0  # the suite shares its cores with the servers that it starts


class ProductionConfig(Config):
    """The production environment. An unsafe setting prevents the start."""

    PASSWORD_BLOCKLIST = Setting(on_or_off, True)
    COOKIE_SECURE = True
    JWT_ACCESS_COOKIE_NAME = "__Host-access_token"
    JWT_REFRESH_COOKIE_NAME = "__Secure-refresh_token"  # __Host- requires Path=/
    MAIL_TO_CONSOLE = False

    def cross_check(self) -> dict[str, str]:
        """Return the reason by setting for settings that are unsafe in production."""
        errors = super().cross_check()
        if self.source("SECRET_KEY") == "default":
            errors["SECRET_KEY"] = "is required in production"
        elif is_weak_secret(self.SECRET_KEY):
            errors["SECRET_KEY"] = "can be guessed; generate one: openssl rand -base64 48"
        elif self.source("SECRET_KEY") == ".env" and self.dotenv.stat().st_mode & 0o007:
            errors["SECRET_KEY"] = "is in a file that every user can read; chmod 640 .env"
        if self.source("PUBLIC_URL") == "default" or not self.PUBLIC_URL.startswith("https://"):
            errors["PUBLIC_URL"] = "is required in production, and must be https://"
        if self.source("JWT_ISSUER") != "default" and not self.JWT_ISSUER.startswith("https://"):
            errors["JWT_ISSUER"] = "must be https:// in production"
        if self.BCRYPT_ROUNDS < MINIMUM_PRODUCTION_ROUNDS:
            errors["BCRYPT_ROUNDS"] = f"must be {MINIMUM_PRODUCTION_ROUNDS} or more in production"
        if not self.RATE_LIMITS:
            errors["RATE_LIMITS"] = "must not be off in production"
        if any(origin.startswith("http://") for origin in self.CORS_ORIGINS):
            errors["CORS_ORIGINS"] = "must be https:// in production"
        if self.environ.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
            errors["PYCODER_ENV"] = "production does not allow FLASK_DEBUG"
        return errors


def masked(text: str) -> str:
    """Mask the credentials and the query of a URL."""
    return re.sub(r"(?<=://).*(?=@)|(?<=\?).*", "***", text) if "://" in text else text


def is_weak_secret(secret: str) -> bool:
    """Return whether a secret has few distinct characters or contains a known word."""
    return len(set(secret)) < 10 or any(word in secret.lower() for word in PLACEHOLDERS)


def format_report(report: list[tuple[str, str, str, str]]) -> str:
    """Format a report as aligned lines. Rejected settings are marked."""
    return "\n".join(
        f"{'REFUSED' if complaint else 'ok':8}{name:27}{complaint or shown}  [{source}]"
        for name, shown, source, complaint in report
    )


def load() -> Config:
    """Load the settings of this process from the environment and ``.env``.

    The environment takes precedence, except that an empty variable is ignored. An unknown
    ``PYCODER_ENV`` is checked as production.
    """
    folder = Path.cwd()
    file = {name: text or "" for name, text in dotenv_values(folder / ".env").items()}
    environ = {**file, **{name: text for name, text in os.environ.items() if text}}
    kinds = {"development": DevelopmentConfig, "testing": TestingConfig}
    kind = kinds.get(environ.get("PYCODER_ENV") or "development", ProductionConfig)
    return kind(environ, folder, file)


def load_or_exit() -> Config:
    """Load the settings, or exit with the report if one of them is unsafe."""
    config = load()
    try:
        config.check()
    except ConfigError as error:
        sys.exit(f"PyCoder refuses to start with these settings:\n{error}")
    return config
