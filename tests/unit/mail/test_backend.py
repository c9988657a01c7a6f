"""The setting ``MAIL_URL``."""

import pytest
from flask_mailman import EmailMultiAlternatives

from config import ConfigError, TestingConfig
from pycoder import create_app
from pycoder.mail.backend import deliver
from tests.support.constants import SECRET_KEY

# --- MAIL_URL


def test_a_folder_of_mails_is_private(tmp_path):
    app = create_app(
        TestingConfig({"SECRET_KEY": SECRET_KEY, "MAIL_URL": f"file:{tmp_path}/mails"}, tmp_path)
    )
    with (
        app.app_context(),
        deliver(EmailMultiAlternatives("subject", "body", to=["ada@example.com"])),
    ):
        pass
    assert (tmp_path / "mails").stat().st_mode & 0o777 == 0o700


def options(tmp_path, url, **settings):
    """Return what Flask-Mailman is told by a ``MAIL_URL``."""
    environ = {"SECRET_KEY": SECRET_KEY, "MAIL_URL": url} | settings
    return create_app(TestingConfig(environ, tmp_path)).extensions["mailman"]


def test_a_mail_url_names_server_credentials_tls_and_sender(tmp_path):
    url = "smtp://us%40er:pa%3Ass@mail.pycoder.dev:587?tls=1&from=id@pycoder.dev"
    state = options(tmp_path, url)
    assert (state.server, state.port) == ("mail.pycoder.dev", 587)
    assert (state.username, state.password) == ("us@er", "pa:ss")
    assert (state.use_tls, state.use_ssl) == (True, False)
    assert state.default_sender == ("PyCoder", "id@pycoder.dev")
    implicit = options(tmp_path, "smtp://mail.pycoder.dev:465?tls=1")
    assert (implicit.use_tls, implicit.use_ssl) == (False, True)
    for url, port in (("smtps://mail", 465), ("smtps://mail:2465?tls=1", 2465)):
        state = options(tmp_path, url)
        assert (state.port, state.use_tls, state.use_ssl) == (port, False, True)
    plain = options(tmp_path, "smtp://mail", PUBLIC_URL="https://id.pycoder.dev:8443")
    assert (plain.port, plain.use_tls, plain.username) == (25, False, "")
    assert plain.default_sender == ("PyCoder", "no-reply@id.pycoder.dev")


@pytest.mark.parametrize(
    "url",
    [
        "smtp://", "smtp://host:0", "smtp://host:x", "smtp://host?tls=yes", "smtp://host?ssl=1",
        "smtp://host?from=nobody", "smtp://host?from=a@b.co%0ABcc:x@b.co", "file:", "file:/",
        "console:x", "smtps://host?tls=0", "smtps://", "http://mail",
    ],
)  # fmt: skip
def test_a_mail_url_that_is_none_is_refused(url, tmp_path):
    with pytest.raises(ConfigError, match="MAIL_URL"):
        options(tmp_path, url)
