"""The settings: defaults, sources, and values that are refused."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import config
from config import Config, ConfigError, DevelopmentConfig, ProductionConfig, TestingConfig
from config_cores import usable_workers
from pycoder import create_app
from tests.support.constants import PRODUCTION, SECRET_KEY


def test_a_secret_of_31_bytes_is_refused_at_start_and_one_of_32_is_not(tmp_path):
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        create_app(TestingConfig({"SECRET_KEY": SECRET_KEY[:31]}, tmp_path))
    create_app(TestingConfig({"SECRET_KEY": SECRET_KEY[:32]}, tmp_path))


SAFE = {"SECRET_KEY": SECRET_KEY, "PUBLIC_URL": "https://auth.pycoder.dev", **PRODUCTION}


def refused(tmp_path, kind=ProductionConfig, **settings):
    return kind({**SAFE, **settings}, tmp_path).complaints()


def test_the_settings_are_the_documented_ones():
    assert list(Config.settings()) == [
        "PYCODER_ENV", "SECRET_KEY", "DATABASE_URL", "PORT", "WEB_CONCURRENCY",
        "JWT_ALGORITHM", "JWT_ACCESS_TOKEN_EXPIRES", "JWT_REFRESH_TOKEN_EXPIRES",
        "SESSION_LIFETIME", "REFRESH_ROTATION", "REFRESH_REUSE_LEEWAY", "BCRYPT_ROUNDS",
        "REGISTRATION_OPEN", "PASSWORD_BLOCKLIST", "EMAIL_DOMAINS_SPECIAL",
        "PUBLIC_URL", "FRONTEND_URL", "JWT_ISSUER", "JWT_AUDIENCE", "MAIL_URL", "CORS_ORIGINS",
        "TRUSTED_PROXIES", "PROXY_NETWORKS", "RATE_LIMIT_STORAGE", "RATE_LIMITS",
        "AUDIT_RETENTION", "WEB_TRANSPORT", "SECOND_FACTOR", "PASSKEY_RP_ID",
    ]  # fmt: skip


def test_development_needs_no_setting_and_keeps_its_secret(tmp_path):
    first = DevelopmentConfig({}, tmp_path)
    assert first.complaints() == {}
    assert first.SECRET_KEY == DevelopmentConfig({}, tmp_path).SECRET_KEY
    assert len(first.SECRET_KEY) >= 32
    kept = tmp_path / "instance" / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "instance") == ["secret_key"]
    assert (tmp_path / "instance").stat().st_mode & 0o077 == 0
    assert first.PUBLIC_URL == "http://localhost:8000"
    assert str(tmp_path) in first.DATABASE_URL


@pytest.mark.parametrize("secret", ["", "change-me-change-me-change-me-change-me"])
def test_a_refused_secret_is_answered_with_the_way_to_generate_one(tmp_path, secret):
    assert "openssl rand" in refused(tmp_path, SECRET_KEY=secret)["SECRET_KEY"]


def test_a_kept_secret_that_others_may_read_is_refused(tmp_path):
    assert DevelopmentConfig({}, tmp_path).SECRET_KEY
    (tmp_path / "instance" / "secret_key").chmod(0o644)
    assert "chmod 600" in DevelopmentConfig({}, tmp_path).complaints()["SECRET_KEY"]


def test_production_starts_with_a_secret_and_an_address(tmp_path):
    assert refused(tmp_path) == {}


UNSAFE = [
    ("SECRET_KEY", ""),
    ("SECRET_KEY", "x7Kq0pW3nV9zB2mT5yR8uL1cD4fG6h"),
    ("SECRET_KEY", "0123456789" * 2 + "a" * 11),
    ("SECRET_KEY", "change-me-change-me-change-me-change-me"),
    ("SECRET_KEY", "a-string-secret-at-least-256-bits-long"),
    ("SECRET_KEY", "ababababababababababababababababababab"),
    ("PUBLIC_URL", ""),
    ("PUBLIC_URL", "http://auth.pycoder.dev"),
    ("PUBLIC_URL", "auth.pycoder.dev"),
    ("FRONTEND_URL", "http://app.pycoder.dev"),
    ("FRONTEND_URL", "https://app.pycoder.dev/?next=x"),
    ("JWT_ISSUER", "http://auth.pycoder.dev"),
    ("JWT_ISSUER", "id.pycoder.dev"),
    ("JWT_ISSUER", "https://auth.pycoder.dev/?"),
    ("JWT_ISSUER", "https://auth.pycoder.dev/#"),
    ("JWT_ISSUER", "https://auth.pycoder.dev/#x"),
    ("JWT_ISSUER", "https://user:pass@auth.pycoder.dev"),
    ("JWT_ISSUER", "https://auth.pycoder.dev/ x"),
    ("JWT_ISSUER", "https://auth.pycoder.dev/é"),
    ("JWT_ISSUER", "https://"),
    ("JWT_AUDIENCE", "one two"),
    ("JWT_AUDIENCE", "one,two"),
    ("JWT_AUDIENCE", "x" * 201),
    ("JWT_AUDIENCE", "é"),
    ("BCRYPT_ROUNDS", "11"),
    ("RATE_LIMITS", "off"),
    ("RATE_LIMIT_STORAGE", "memory:"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "https://*.pycoder.dev"),
    ("CORS_ORIGINS", "http://app.pycoder.dev"),
    ("CORS_ORIGINS", "https://app.pycoder.dev/path"),
    ("TRUSTED_PROXIES", "*"),
    ("TRUSTED_PROXIES", "-1"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:///file::memory:?uri=true"),
    ("DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true"),
    ("DATABASE_URL", "mysql://root@localhost/x"),
    ("PORT", "eighty"),
    ("PORT", "70000"),
    ("WEB_CONCURRENCY", "0"),
    ("JWT_ALGORITHM", "none"),
    ("JWT_ALGORITHM", "eddsa"),
    ("JWT_ALGORITHM", "HS512"),
    ("JWT_ACCESS_TOKEN_EXPIRES", "604801"),
    ("JWT_ACCESS_TOKEN_EXPIRES", "60m"),
    ("JWT_REFRESH_TOKEN_EXPIRES", "7776001"),
    ("REGISTRATION_OPEN", "maybe"),
    ("EMAIL_DOMAINS_SPECIAL", "on"),
    ("MAIL_URL", "http://mail"),
    ("MAIL_URL", ""),
    ("MAIL_URL", "console:"),
    ("TRUSTED_PROXIES", ""),
    ("PROXY_NETWORKS", "192.0.2.1/24"),
    ("PROXY_NETWORKS", "proxy.pycoder.dev"),
    ("PROXY_NETWORKS", "0.0.0.0/0"),
    ("PROXY_NETWORKS", "10.0.0.0/8, ::/0"),
    ("PUBLIC_URL", "https://pycoder.dev/auth"),
    ("PUBLIC_URL", "https://user:word@auth.pycoder.dev"),
    ("SECOND_FACTOR", "always"),
    ("PASSKEY_RP_ID", "pycoder.net"),
    ("PASSKEY_RP_ID", "coder.dev"),
    ("PASSKEY_RP_ID", "https://pycoder.dev"),
    ("CORS_ORIGINS", "auth.pycoder.net"),
    ("CORS_ORIGINS", "https://[::1]:5173/path"),
    ("CORS_ORIGINS", "null"),
    ("PYCODER_ENV", "prod"),
]


@pytest.mark.parametrize(("name", "value"), UNSAFE)
def test_production_refuses_an_unsafe_setting_by_name_and_not_by_value(tmp_path, name, value):
    settings = {"WEB_CONCURRENCY": "2", name: value}
    assert list(refused(tmp_path, **settings)) == [name]
    with pytest.raises(ConfigError) as caught:
        ProductionConfig({**SAFE, **settings}, tmp_path).check()
    line = next(line for line in str(caught.value).splitlines() if line.startswith("REFUSED"))
    assert name in line
    if len(value) > 9:
        assert value not in str(caught.value)


MISSPELT = {
    "TRUSTED_PROXYS": "TRUSTED_PROXIES",
    "PYCODER_EVN": "PYCODER_ENV",
    "JWT_ACCESS_TOKEN_EXPIRE": "JWT_ACCESS_TOKEN_EXPIRES",
    "MAIL_URI": "MAIL_URL",
    "public_url": "PUBLIC_URL",
    "PYCODER_THEME": "is no setting",
}


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_setting_is_a_complaint_and_refused_in_dot_env(tmp_path, name, meant):
    environ = {**SAFE, name: "hunter2"}
    for kind in (DevelopmentConfig, ProductionConfig):
        settings = kind(environ, tmp_path)
        settings.check()
        [line] = [row for row in settings.report() if row[3]]
        assert line[0] == name
        assert meant in line[3]
        assert "hunter2" not in str(line)
    ours = ProductionConfig(environ, tmp_path, {name: "hunter2"})
    with pytest.raises(ConfigError, match=name):
        ours.check()


def test_names_of_other_programs_are_no_complaint(tmp_path):
    others = ("PATH", "HOME", "PGPORT", "REPORT", "REDIS_URL", "LOG_LEVEL", "SESSION_MANAGER")
    others += ("PYCODER_SERVICE_HOST", "PYCODER_PORT", "PYCODER_PORT_8000_TCP")  # of Kubernetes
    environ = {**SAFE, **dict.fromkeys(others, "x")}
    assert ProductionConfig(environ, tmp_path, environ).unknown_names() == {}


def test_no_access_token_has_the_audience_of_refresh_tokens(tmp_path):
    assert list(refused(tmp_path, JWT_AUDIENCE=SAFE["PUBLIC_URL"])) == ["JWT_AUDIENCE"]
    other = {"JWT_ISSUER": "https://id.pycoder.dev", "JWT_AUDIENCE": "https://id.pycoder.dev"}
    assert list(refused(tmp_path, **other)) == ["JWT_AUDIENCE"]


def test_debug_does_not_go_with_production(tmp_path):
    assert list(refused(tmp_path, FLASK_DEBUG="1")) == ["PYCODER_ENV"]


def test_good_values_are_read(tmp_path):
    read = Config(
        {
            "DATABASE_URL": "postgres://u:p@db/x",
            "CORS_ORIGINS": "https://App.pycoder.dev, https://x.dev:8443/,capacitor://localhost,"
            "tauri://localhost,ionic://localhost,http://[::1]:5173",
            "PROXY_NETWORKS": "203.0.113.7, 2001:db8::/32",
            "REGISTRATION_OPEN": "off",
            "PUBLIC_URL": "https://auth.pycoder.dev/",
        },
        tmp_path,
    )
    assert read.DATABASE_URL == "postgresql+psycopg://u:p@db/x"
    assert [
        *("https://app.pycoder.dev", "https://x.dev:8443", "capacitor://localhost"),
        *("tauri://localhost", "ionic://localhost", "http://[::1]:5173"),
    ] == read.CORS_ORIGINS
    assert [str(network) for network in read.PROXY_NETWORKS] == ["203.0.113.7/32", "2001:db8::/32"]
    assert read.REGISTRATION_OPEN is False
    assert read.PUBLIC_URL == "https://auth.pycoder.dev"
    assert (read.JWT_ISSUER, read.JWT_AUDIENCE) == ("https://auth.pycoder.dev", "pycoder")


def test_an_issuer_is_kept_as_it_is_written(tmp_path):
    settings = SAFE | {"JWT_ISSUER": "https://pycoder.dev/auth/", "JWT_AUDIENCE": "x" * 200}
    read = ProductionConfig(settings, tmp_path)
    assert read.complaints() == {}
    assert (read.JWT_ISSUER, read.JWT_AUDIENCE) == ("https://pycoder.dev/auth/", "x" * 200)


def test_limits_can_be_changed_one_by_one(tmp_path):
    read = Config({"RATE_LIMITS": "login.ip=200/5minute; register.ip=5/hour"}, tmp_path)
    changed = {"login.ip": "200/5minute", "register.ip": "5/hour"}
    assert config.DEFAULT_LIMITS | changed == read.RATE_LIMITS
    assert Config({"RATE_LIMITS": "on"}, tmp_path).RATE_LIMITS == config.DEFAULT_LIMITS


@pytest.mark.parametrize("text", ["login.ip=", "login.ip=0/hour", "nothing.ip=5/hour", "5/hour=1"])
def test_limits_that_are_none_are_refused(text, tmp_path):
    assert list(Config({"RATE_LIMITS": text}, tmp_path).complaints()) == ["RATE_LIMITS"]


def test_no_token_may_outlive_what_it_belongs_to(tmp_path):
    shorter = {"JWT_REFRESH_TOKEN_EXPIRES": "3599"}
    assert list(Config(shorter, tmp_path).complaints()) == ["JWT_ACCESS_TOKEN_EXPIRES"]


def test_processes_that_start_together_keep_one_secret(tmp_path):
    together = threading.Barrier(8)

    def start(_):
        together.wait()
        return DevelopmentConfig({}, tmp_path).SECRET_KEY

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert os.listdir(tmp_path / "instance") == ["secret_key"]


def test_the_report_hides_passwords_and_tells_sources(tmp_path):
    environ = {"DATABASE_URL": "postgresql://u:hunter2@db/x?password=hunter2", "PORT": "9000"}
    report = DevelopmentConfig(environ, tmp_path, {"PORT": "9000"}).report()
    by_name = {name: (shown, source) for name, shown, source, _ in report}
    assert "hunter2" not in str(report)
    assert by_name["PORT"] == ("9000", ".env")
    assert by_name["DATABASE_URL"] == ("postgresql+psycopg://***@db/x?***", "environment")
    assert by_name["SECRET_KEY"] == ("(hidden)", "default")
    assert "must not be reachable from other machines" in by_name["PYCODER_ENV"][0]
    assert "***" not in by_name["CORS_ORIGINS"][0]  # a pattern's ? is no query


def test_settings_come_from_the_environment_before_dot_env(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in Config.settings():
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("PORT=9001\nBCRYPT_ROUNDS=13\n")
    monkeypatch.setenv("PORT", "9002")
    loaded = config.load()
    assert (loaded.PORT, loaded.BCRYPT_ROUNDS) == (9002, 13)
    assert (loaded.source("PORT"), loaded.source("BCRYPT_ROUNDS")) == ("environment", ".env")
    assert type(loaded) is DevelopmentConfig


def test_an_empty_variable_takes_nothing_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PYCODER_ENV=production\n")
    monkeypatch.setenv("PYCODER_ENV", "")
    assert type(config.load()) is ProductionConfig


@pytest.mark.parametrize(("mode", "refused"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_secret_that_everybody_may_read_is_none_in_production(tmp_path, mode, refused):
    (tmp_path / ".env").touch(mode)
    (tmp_path / ".env").chmod(mode)
    assert ("SECRET_KEY" in ProductionConfig(SAFE, tmp_path, SAFE).complaints()) == refused
    assert not ProductionConfig(SAFE, tmp_path).complaints()  # of the environment


def test_an_unknown_environment_is_refused_as_production(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYCODER_ENV", "prod")
    loaded = config.load()
    assert type(loaded) is ProductionConfig
    assert "PYCODER_ENV" in loaded.complaints()


def test_the_defaults_are_the_documented_ones(tmp_path):
    settings = DevelopmentConfig({}, tmp_path)
    defaults = {
        "PYCODER_ENV": "development", "PORT": 8000, "WEB_CONCURRENCY": usable_workers().number,
        "JWT_ACCESS_TOKEN_EXPIRES": 3600, "JWT_REFRESH_TOKEN_EXPIRES": 604_800,
        "SESSION_LIFETIME": 7_776_000, "REFRESH_ROTATION": "strict", "REFRESH_REUSE_LEEWAY": 0,
        "BCRYPT_ROUNDS": 12, "REGISTRATION_OPEN": True, "PASSWORD_BLOCKLIST": False,
        "EMAIL_DOMAINS_SPECIAL": False,
        "MAIL_URL": "console:",
        "TRUSTED_PROXIES": 0, "RATE_LIMIT_STORAGE": "database",
        "SECOND_FACTOR": "optional", "PASSKEY_RP_ID": "localhost",
    }  # fmt: skip
    assert {name: getattr(settings, name) for name in defaults} == defaults
    assert settings.RATE_LIMITS == {
        "login.account": "10/15minute", "login.ip": "100/5minute", "register.ip": "30/hour",
        "register.form.ip": "100/hour", "account.writes": "60/hour",
        "second.account": "10/15minute", "second.week": "50/7day", "second.ip": "100/5minute",
        "refresh.session": "60/minute", "reset.account": "3/hour", "reset.ip": "30/hour",
        "introspect.ip": "100/5minute",
    }  # fmt: skip
    production = ProductionConfig(SAFE, tmp_path)
    assert (production.PASSWORD_BLOCKLIST, production.CORS_ORIGINS) == (True, [])


def test_limits_are_counted_at_no_address_without_slashes(tmp_path):
    settings = DevelopmentConfig({"RATE_LIMIT_STORAGE": "redis:host"}, tmp_path)
    assert "redis://" in settings.complaints()["RATE_LIMIT_STORAGE"]


@pytest.mark.parametrize(
    ("host", "rp_id", "is_refused"),
    [
        ("auth.pycoder.dev", None, False),
        ("auth.pycoder.dev", "pycoder.dev", False),
        ("auth.pycoder.dev", "dev", True),
        ("auth.pycoder.co.uk", "co.uk", True),
        ("pycoder.github.io", None, False),
        ("pycoder.github.io", "github.io", True),
        ("192.0.2.7", None, True),
        ("[2001:db8::7]", None, True),
        ("auth", None, True),
        ("localhost", None, False),
    ],
)
def test_production_refuses_a_relying_party_that_browsers_refuse(tmp_path, host, rp_id, is_refused):
    named = {"PASSKEY_RP_ID": rp_id} if rp_id else {}
    found = refused(tmp_path, PUBLIC_URL=f"https://{host}", **named)
    assert list(found) == (["PASSKEY_RP_ID"] if is_refused else [])
