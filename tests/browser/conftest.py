"""Fixtures with a real browser."""

import os
import re
import time

import pytest
from playwright.sync_api import sync_playwright

from tests.support import tools
from tests.support.mail_server import MailServer
from tests.support.pages import confirm_address, register
from tests.support.ports import free_port
from tests.support.servers import Server


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium. It ends with the module, because Playwright occupies asyncio."""
    quiet = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    path, home = (
        tools.chromium(),
        tmp_path_factory.mktemp("home"),
    )  # where Chromium stores its profile
    env = os.environ | {"HOME": str(home)}
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=quiet, env=env)


@pytest.fixture(scope="module")
def mailbox():
    with MailServer() as mailbox:
        yield mailbox


@pytest.fixture(scope="module")
def localhost_server(tmp_path_factory, mailbox):
    """A server at localhost: an IP address has no passkeys."""
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    settings = {"RATE_LIMITS": "off", "MAIL_URL": mailbox.url, "PORT": port}
    settings["PUBLIC_URL"] = f"http://localhost:{port}"
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        running.url = settings["PUBLIC_URL"]
        yield running


@pytest.fixture
def open_browser(browser, server):
    """Return a function that opens a browser context; assert that its console shows no error."""
    contexts, complaints = [], []

    def new_browser(**options):
        context = browser.new_context(base_url=server.url, **options)
        context.set_default_timeout(15_000)
        context.on("console", lambda message: listen(message.type, message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        contexts.append(context)
        return context

    def listen(kind, text):
        refused = re.match(r"Failed to load resource: .* status of 40[013]", text)  # as is tested
        if kind in ("error", "warning") and not refused:
            complaints.append(text)

    yield new_browser
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_browser):
    return open_browser().new_page()


@pytest.fixture
def email():
    return f"{time.time_ns()}@example.com"


@pytest.fixture
def member(page, email, mailbox):
    """A page on which a user with a confirmed address is signed in."""
    return confirm_address(register(page, email), email, mailbox)
