"""Settings, read from the environment and ``.env``, and checked before the start.

``load()`` chooses the class by ``PYCODER_ENV``. ``create_app`` calls ``check()``, which rejects an
unsafe setting. config_parsers.py contains the parsers. docs/operations.md describes the settings.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from config_cores import usable_cores, usable_workers
from config_parsers import (
    DEFAULT_LIMITS,
    Setting,
    audience,
    database_url,
    frontend_url,
    in_clear,
    is_local,
    is_weak_secret,
    issuer,
    limit_storage,
    limits,
    mail_url,
    masked,
    networks,
    off_in_production,
    on_or_off,
    one_of,
    origins,
    relying_party,
    secret_key,
    split_url,
    unusable_relying_party,
    web_url,
    whole_number,
)

MINIMUM_PRODUCTION_ROUNDS = 12
EXTRAS = {"DATABASE_URL": ("postgresql", "psycopg"), "RATE_LIMIT_STORAGE": ("redis", "redis")}
NEW_SECRET = "generate one: openssl rand -base64 48"
OWN_NAME = re.compile(r"(PYCODER|JWT)_(?!(SERVICE|PORT)(_|$))")  # Kubernetes sets PYCODER_PORT_…


class ConfigError(Exception):
    """The settings are unsafe or invalid. The message is that of ``flask doctor``."""


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
    WEB_CONCURRENCY = Setting(whole_number(1, 512), lambda config: usable_workers().number)
    JWT_ALGORITHM = Setting(one_of("EdDSA", "ES256", "RS256", "HS256"), "EdDSA")
    JWT_ACCESS_TOKEN_EXPIRES = Setting(whole_number(1, 86_400), 3600)
    JWT_REFRESH_TOKEN_EXPIRES = Setting(whole_number(1, 31_536_000), 604_800)
    SESSION_LIFETIME = Setting(whole_number(1, 31_536_000), 7_776_000)
    REFRESH_ROTATION = Setting(one_of("strict", "until_used"), "strict")
    REFRESH_REUSE_LEEWAY = Setting(whole_number(0, 60), 0)
    BCRYPT_ROUNDS = Setting(whole_number(4, 18), 12)
    REGISTRATION_OPEN = Setting(on_or_off, True)
    PASSWORD_BLOCKLIST = Setting(on_or_off, False)
    EMAIL_DOMAINS_SPECIAL = Setting(on_or_off, False)
    PUBLIC_URL = Setting(web_url, lambda config: f"http://localhost:{config.PORT}")
    FRONTEND_URL = Setting(frontend_url, follows="PUBLIC_URL")
    JWT_ISSUER = Setting(issuer, follows="PUBLIC_URL")
    JWT_AUDIENCE = Setting(audience, "pycoder")
    MAIL_URL = Setting(mail_url, "console:")
    CORS_ORIGINS = Setting(origins, [])
    TRUSTED_PROXIES = Setting(whole_number(0, 8), 0)
    PROXY_NETWORKS = Setting(networks, [])
    RATE_LIMIT_STORAGE = Setting(limit_storage, "database")
    RATE_LIMITS = Setting(limits, DEFAULT_LIMITS)
    AUDIT_RETENTION = Setting(whole_number(1, 36_500), 365)
    WEB_TRANSPORT = Setting(one_of("cookie", "body"), "cookie")
    SECOND_FACTOR = Setting(one_of("optional", "admins", "required"), "optional")
    PASSKEY_RP_ID = Setting(relying_party, lambda config: config.public_host)

    COOKIE_SECURE = False
    JWT_ACCESS_COOKIE_NAME, JWT_REFRESH_COOKIE_NAME = "pycoder_access", "pycoder_refresh"
    JWT_COOKIE_CSRF_PROTECT = False  # bound to one token, and fails at é; see auth/csrf.py
    HASHING_QUEUE = 24  # passwords that can wait in one worker
    HASHING_PATIENCE = 10.0  # seconds
    HASHING_GIVES_WAY = True  # use idle CPU time only
    REFRESH_RETRY_WINDOW = 300  # seconds in which a refresh may be repeated with its key
    EMAIL_LINK_LIFETIME = 86_400  # seconds; verification, and change of the address
    RESET_LINK_LIFETIME = 3600  # seconds
    UNDO_LINK_LIFETIME = 604_800  # seconds; a change of address, or the first factor
    INVITE_LINK_LIFETIME = 604_800  # seconds
    SESSIONS_PER_USER = 100  # the surplus session that was used least recently ends
    MAX_CONTENT_LENGTH = 64 * 1024
    JWT_REFRESH_JSON_KEY = "refresh"

    def __init__(self, environ: Mapping[str, str], folder: Path, from_file: Mapping[str, str] = {}):
        self.environ, self.from_file = environ, from_file
        self.instance, self.dotenv = folder / "instance", folder / ".env"

    @property
    def public_host(self) -> str:
        """The host of ``PUBLIC_URL``, or an empty string if that setting is invalid."""
        with suppress(ValueError):
            return split_url(self.PUBLIC_URL).hostname or ""
        return ""

    @property
    def HASHING_THREADS(self) -> int:
        """The number of hashing threads of a worker: its share of the cores."""
        return int(max(1, usable_cores().number // self.WEB_CONCURRENCY))

    @property
    def THREADS(self) -> int:
        """The number of request threads of a worker: seven more than can wait for a hash."""
        return self.HASHING_THREADS + self.HASHING_QUEUE + 7

    @property
    def HSTS(self) -> bool:
        """Whether browsers are told to use https only."""
        parts = split_url(self.PUBLIC_URL)
        return self.COOKIE_SECURE and not is_local(parts.hostname or "")

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
            "connect_args": {"connect_timeout": 2, "client_encoding": "utf8"} if postgresql else {},
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

    def followed(self, name: str) -> str:
        """Return the setting whose value an absent setting has, or an empty string."""
        return self.settings()[name].follows if self.source(name) == "default" else ""

    def complaints(self) -> dict[str, str]:
        """Return the reason by setting for every invalid or unsafe setting."""
        errors = {}
        for name in self.settings():
            if self.followed(name):
                continue
            try:
                getattr(self, name)
            except OSError as error:
                errors[name] = f"{error.filename}: {error.strerror}"
            except ValueError as error:
                errors[name] = str(error)
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
        if not f".{self.public_host}".endswith(f".{self.PASSKEY_RP_ID}"):
            errors["PASSKEY_RP_ID"] = "must be the host of PUBLIC_URL, or a parent domain of it"
        if self.RATE_LIMIT_STORAGE.startswith("memory:") and self.WEB_CONCURRENCY > 1:
            errors["RATE_LIMIT_STORAGE"] = "memory: supports only WEB_CONCURRENCY=1"
        for name, (scheme, package) in EXTRAS.items():
            if getattr(self, name).startswith(scheme) and find_spec(package) is None:
                errors[name] = f"needs the package {package}, which is not installed"
        return errors

    def unknown_names(self) -> dict[str, str]:
        """Return the reason by name for variables that look like a misspelt setting."""
        known, reasons = self.settings(), {}
        for name in {**self.environ, **self.from_file}.keys() - known.keys():
            closest = get_close_matches(name.upper(), known, 1, cutoff=0.82)
            if closest or OWN_NAME.match(name):
                reasons[name] = "is no setting" + "".join(f"; did you mean {c}?" for c in closest)
        return dict(sorted(reasons.items()))

    def report(self) -> list[tuple[str, str, str, str]]:
        """Return (name, masked value, source, complaint) of settings and unknown names."""
        complaints = {**self.unknown_names(), **self.complaints()}
        rows = []
        for name in {**self.settings(), **complaints}:
            setting = self.settings().get(name)
            hidden = not setting or setting.secret or name in complaints
            value = "(hidden)" if hidden else self.shown(name)
            rows.append((name, value, self.source(name), complaints.get(name, "")))
        return rows

    def shown(self, name: str) -> str:
        """Return the value of a setting without its secrets, and what it means."""
        if followed := self.followed(name):
            return f"(that of {followed})"
        value = getattr(self, name)
        if name == "PYCODER_ENV" and value == "development":
            return f"{value} (must not be reachable from other machines)"
        if name == "WEB_CONCURRENCY" and self.source(name) == "default":
            return f"{value} (decided by: {usable_workers().decided_by})"
        if name == "TRUSTED_PROXIES":
            believed = "private addresses and PROXY_NETWORKS are" if value else "none is"
            return f"{value} ({believed} believed)"
        if isinstance(value, list):
            return ", ".join(getattr(item, "pattern", str(item)) for item in value) or "none"
        return masked(value) if isinstance(value, str) else str(value)

    def check(self) -> None:
        """Raise ``ConfigError`` for invalid or unsafe settings."""
        if self.complaints():
            raise ConfigError(f"the settings are not safe\n{format_report(self.report())}")

    def check_files(self) -> None:
        """Raise ``ConfigError`` for a file or folder that this process cannot use."""
        try:
            self.instance.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.instance} cannot be created: {error.strerror}") from error
        folders = [self.instance]
        if self.DATABASE_URL.startswith("sqlite:///"):
            path = re.sub("^sqlite:///(file:)?|[?].*", "", self.DATABASE_URL)
            database = self.instance / path  # an absolute path replaces the folder
            folders.append(database.parent)
            if database.is_dir():
                raise ConfigError(f"DATABASE_URL names a directory: {database}")
            for file in (Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm")):
                if file.exists() and not os.access(file, os.R_OK | os.W_OK):
                    raise ConfigError(f"this user cannot read and write {file}")
        for folder in folders:
            if not folder.is_dir():
                raise ConfigError(f"there is no directory {folder}")
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise ConfigError(f"this user cannot write into {folder}")


class DevelopmentConfig(Config):
    """The development environment. Every setting has a default."""

    CORS_ORIGINS = Setting(
        origins, [re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\Z")]
    )


class TestingConfig(Config):
    """The environment of the tests, with the lowest bcrypt cost."""

    TESTING = True
    __test__ = False  # pytest would collect a class of this name
    BCRYPT_ROUNDS = Setting(whole_number(4, 18), 4)
    HASHING_PATIENCE = 60.0  # the suite shares its cores with the servers that it starts
    HASHING_GIVES_WAY = False  # a hash of a millisecond would wait for an idle core each time


class ProductionConfig(Config):
    """The production environment. An unsafe setting prevents the start."""

    PASSWORD_BLOCKLIST = Setting(on_or_off, True)
    EMAIL_DOMAINS_SPECIAL = Setting(off_in_production, False)
    SECOND_FACTOR = Setting(one_of("optional", "admins", "required"), "admins")
    COOKIE_SECURE = True
    JWT_ACCESS_COOKIE_NAME = "__Host-pycoder_access"
    JWT_REFRESH_COOKIE_NAME = "__Secure-pycoder_refresh"  # __Host- requires Path=/

    def cross_check(self) -> dict[str, str]:
        """Return the reason by setting for settings that are unsafe in production."""
        errors = super().cross_check() | self.unsafe_secret() | self.unsafe_connections()
        if self.source("PUBLIC_URL") == "default" or not self.PUBLIC_URL.startswith("https://"):
            errors["PUBLIC_URL"] = "is required in production, and must be https://"
        for name in ("FRONTEND_URL", "JWT_ISSUER"):
            if self.source(name) != "default" and not getattr(self, name).startswith("https://"):
                errors[name] = "must be https:// in production"
        if self.BCRYPT_ROUNDS < MINIMUM_PRODUCTION_ROUNDS:
            errors["BCRYPT_ROUNDS"] = f"must be {MINIMUM_PRODUCTION_ROUNDS} or more in production"
        if reason := unusable_relying_party(self.PASSKEY_RP_ID):
            errors["PASSKEY_RP_ID"] = reason
        if not self.RATE_LIMITS:
            errors["RATE_LIMITS"] = "must not be off in production"
        if any(origin.startswith("http://") for origin in self.CORS_ORIGINS):
            errors["CORS_ORIGINS"] = "must be https:// in production"
        if self.source("TRUSTED_PROXIES") == "default":
            errors["TRUSTED_PROXIES"] = (
                "is required in production: the number of proxies in front of this server that add"
                " to X-Forwarded-For (1 with deploy/nginx.conf; 0 if clients connect directly)"
            )
        if self.environ.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
            errors["PYCODER_ENV"] = "production does not allow FLASK_DEBUG"
        misspelt = self.unknown_names().items()
        return errors | {name: reason for name, reason in misspelt if name in self.from_file}

    def unsafe_secret(self) -> dict[str, str]:
        """Return the reason if the secret key is missing, or others can learn it."""
        if self.source("SECRET_KEY") == "default":
            return {"SECRET_KEY": f"is required in production; {NEW_SECRET}"}
        if is_weak_secret(self.SECRET_KEY):
            return {"SECRET_KEY": f"can be guessed; {NEW_SECRET}"}
        if self.source("SECRET_KEY") == ".env" and self.dotenv.stat().st_mode & 0o007:
            return {"SECRET_KEY": "is in a file that every user can read; chmod 640 .env"}
        return {}

    def unsafe_connections(self) -> dict[str, str]:
        """Return the reason by setting for unsafe URLs of other servers."""
        urls = ("DATABASE_URL", "MAIL_URL", "RATE_LIMIT_STORAGE")
        reasons = {name: in_clear(self.environ.get(name, ""), self.environ) for name in urls}
        if self.MAIL_URL == "console:":
            reasons["MAIL_URL"] = "is required in production, and must not be console:"
        return {name: reason for name, reason in reasons.items() if reason}


def format_report(report: list[tuple[str, str, str, str]]) -> str:
    """Format a report as aligned lines. Complaints are marked."""
    known = Config.settings()
    return "\n".join(
        f"{('REFUSED' if name in known else 'UNKNOWN') if complaint else 'ok':8}"
        f"{name:27}{complaint or shown}  [{source}]"
        for name, shown, source, complaint in report
    )


def load() -> Config:
    """Load the settings of this process from the environment and ``.env``.

    The environment takes precedence, except that an empty variable is ignored. An unknown
    ``PYCODER_ENV`` is checked as production. Raises ``ConfigError`` if ``.env`` cannot be read.
    """
    folder = Path.cwd()
    try:
        file = {name: text or "" for name, text in dotenv_values(folder / ".env").items()}
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{folder / '.env'} cannot be read: {reason}") from error
    environ = {**file, **{name: text for name, text in os.environ.items() if text}}
    kinds = {"development": DevelopmentConfig, "testing": TestingConfig}
    kind = kinds.get(environ.get("PYCODER_ENV") or "development", ProductionConfig)
    return kind(environ, folder, file)


def load_or_exit() -> Config:
    """Load the settings, or exit with the reason why a process cannot start."""
    try:
        config = load()
        config.check()
        config.check_files()
    except ConfigError as error:
        sys.exit(f"PyCoder refuses to start: {error}")
    return config
