"""The URLs of other servers: what is encrypted, which host they name, what is shown of them."""

import sys

import pytest

from config import Config, DevelopmentConfig, ProductionConfig
from tests.support.constants import PRODUCTION, SECRET_KEY

SAFE = {"SECRET_KEY": SECRET_KEY, "PUBLIC_URL": "https://auth.pycoder.dev", **PRODUCTION}


def refused(tmp_path, kind=ProductionConfig, **settings):
    return kind({**SAFE, **settings}, tmp_path).complaints()


IN_CLEAR = [
    ("MAIL_URL", "smtp://user:pw@mail.pycoder.dev:587", "?tls=1"),
    ("MAIL_URL", "smtp://user:pw@mail.pycoder.dev?from=id@pycoder.dev", "&tls=0"),
    ("MAIL_URL", "SMTP://user@10.0.0.1", "?tls=1"),
    ("RATE_LIMIT_STORAGE", "redis://redis.pycoder.dev/0", "?tls=0"),
    ("RATE_LIMIT_STORAGE", "redis://:pw@10.0.0.1", "?tls=0"),
    ("DATABASE_URL", "postgresql://u:pw@db.pycoder.dev/x", "?sslmode=verify-full"),
    ("DATABASE_URL", "postgres://u:pw@db.pycoder.dev/x", "?sslmode=require"),
    ("DATABASE_URL", "postgresql+psycopg://u:pw@10.0.0.1/x", "?sslmode=verify-ca"),
    ("DATABASE_URL", "postgresql://u:pw@[2001:db8::1]:5432/x", "?sslmode=disable"),
    ("DATABASE_URL", "postgresql://u@/x?host=/run/postgresql&host=db:5432", "&sslmode=disable"),
    ("DATABASE_URL", "postgresql://u@localhost/x?hostaddr=10.0.0.1", "&sslmode=disable"),
    ("DATABASE_URL", "postgresql:///x?service=elsewhere", "&sslmode=disable"),
]


@pytest.mark.parametrize(("name", "url", "allowed"), IN_CLEAR)
def test_production_sends_nothing_in_clear_unless_it_is_told_to(tmp_path, name, url, allowed):
    assert list(refused(tmp_path, **{name: url})) == [name]
    assert refused(tmp_path, **{name: url + allowed}) == {}
    assert refused(tmp_path, DevelopmentConfig, **{name: url}) == {}


@pytest.mark.parametrize(
    ("name", "url", "package"),
    [
        ("DATABASE_URL", "postgresql://localhost/x", "psycopg"),
        ("RATE_LIMIT_STORAGE", "redis://localhost/0", "redis"),
        ("RATE_LIMIT_STORAGE", "rediss://localhost/0", "redis"),
    ],
)
def test_a_package_that_a_url_needs_is_named(tmp_path, name, url, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for kind in (DevelopmentConfig, ProductionConfig):
        assert package in refused(tmp_path, kind, **{name: url})[name]


@pytest.mark.parametrize("mode", ["prefer", "allow", ""])
def test_an_sslmode_that_only_tries_to_encrypt_does_not_suffice(tmp_path, mode):
    url = f"postgresql://u:pw@db.pycoder.dev/x?sslmode={mode}"
    assert list(refused(tmp_path, DATABASE_URL=url)) == ["DATABASE_URL"]


def test_the_variables_of_postgresql_count(tmp_path):
    socket = {"DATABASE_URL": "postgresql:///x"}
    assert refused(tmp_path, **socket) == {}
    assert list(refused(tmp_path, **socket, PGHOST="db.pycoder.dev")) == ["DATABASE_URL"]
    assert refused(tmp_path, **socket, PGHOST="db.pycoder.dev", PGSSLMODE="require") == {}
    local = {"DATABASE_URL": "postgresql://u:word@127.0.0.1/pycoder"}
    assert list(refused(tmp_path, **local, PGHOSTADDR="192.0.2.1")) == ["DATABASE_URL"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        *(("MAIL_URL", f"smtp://u:pw@{host}") for host in ("localhost", "127.0.0.2", "[::1]:25")),
        ("MAIL_URL", "smtps://u:pw@mail.pycoder.dev"),
        ("MAIL_URL", "smtp://mail.pycoder.dev"),
        ("MAIL_URL", "file:mails"),
        ("MAIL_URL", "file:/srv/mails@pycoder"),
        ("DATABASE_URL", "sqlite:////srv/pycoder@one/pycoder.db"),
        *(("RATE_LIMIT_STORAGE", f"redis://{host}/0") for host in ("localhost", "[::1]:6379")),
        ("RATE_LIMIT_STORAGE", "rediss://:pw@redis.pycoder.dev/0"),
        *(("DATABASE_URL", f"postgresql://u:pw@{host}/x") for host in ("localhost:5432", "[::1]")),
        ("DATABASE_URL", "postgresql://u@/x?host=/run/postgresql"),
        ("DATABASE_URL", "postgresql://u@/x?host=localhost:5432&host=127.0.0.1:5433"),
    ],
)
def test_production_connects_to_this_machine_and_by_tls(tmp_path, name, url):
    assert refused(tmp_path, **{name: url}) == {}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("redis://h/0?tls=0", "redis://h/0"),
        ("redis://h/0?tls=0&protocol=3", "redis://h/0?protocol=3"),
        ("redis://h/0?protocol=3&tls=0", "redis://h/0?protocol=3"),
    ],
)
def test_what_is_said_to_pycoder_is_not_passed_to_redis(tmp_path, url, kept):
    assert kept == Config({"RATE_LIMIT_STORAGE": url}, tmp_path).RATE_LIMIT_STORAGE


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("MAIL_URL", "smtps://u:pw@mail?from=id@x.dev&tls=1", "smtps://***@mail?***&tls=1"),
        ("RATE_LIMIT_STORAGE", "redis://:pw@[::1]:6379/0", "redis://***@[::1]:6379/0"),
        ("DATABASE_URL", "postgres://u@/x?host=/run&password=pw&host=db", "host=/run&***&host=db"),
    ],
)
def test_the_report_shows_the_host_of_every_url(tmp_path, name, url, shown):
    rows = {row[0]: row[1] for row in DevelopmentConfig({name: url}, tmp_path).report()}
    assert rows[name].endswith(shown)


@pytest.mark.parametrize("where", ["DATABASE_URL", "MAIL_URL", "RATE_LIMIT_STORAGE"])
@pytest.mark.parametrize("mark", ["/", "?", "#:", "@", "@@", "/@", "[", "："])
def test_no_part_of_a_password_in_an_address_is_shown(where, mark, tmp_path):
    """SQLAlchemy takes a password up to the next @, Python's urlsplit up to the last one."""
    scheme = {"DATABASE_URL": "postgresql", "MAIL_URL": "smtp"}.get(where, "redis")
    environ = {where: f"{scheme}://u:hunter2{mark}hunter2@db/x"}
    assert "hunter2" not in str(DevelopmentConfig(environ, tmp_path).report())


@pytest.mark.parametrize("where", ["DATABASE_URL", "MAIL_URL", "RATE_LIMIT_STORAGE"])
def test_an_address_that_cannot_be_read_is_refused_in_words(where, tmp_path):
    scheme = {"DATABASE_URL": "postgresql", "MAIL_URL": "smtp"}.get(where, "redis")
    for password in ("with/slash", "p@ss/word", "12@34", "12#34", "12?34", "p@ss"):
        settings = DevelopmentConfig({where: f"{scheme}://u:{password}@host"}, tmp_path)
        assert "write / as %2F" in settings.complaints()[where]
