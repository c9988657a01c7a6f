"""Fixtures with a real browser."""

import os
import re
import time

import pytest
from playwright.sync_api import sync_playwright

from tests.support import tools
from tests.support.admins import make_admin
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
    """Return a function that opens a browser context; assert that its console shows no error.

    Answers with a status that matches ``refusals`` are no error.
    """
    contexts, complaints = [], []

    def new_browser(*, refusals="40[013]", **options):
        context = browser.new_context(base_url=server.url, **options)
        context.set_default_timeout(15_000)
        as_tested = f"Failed to load resource: .*(status of ({refusals})|INTERNET_DISCONNECTED)"
        context.on("console", lambda message: listen(message.type, message.text, as_tested))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        contexts.append(context)
        return context

    def listen(kind, text, as_tested):
        if kind in ("error", "warning") and not re.match(as_tested, text):
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


@pytest.fixture
def follow(mailbox):
    """Return a function that opens the link of the latest of so many mails to somebody."""

    def open_link(page, to, path, count=1):
        for _ in range(1000):
            mails = [mail for mail in mailbox.mails if mail.to == to and path in mail.text]
            if len(mails) == count:
                break
            page.wait_for_timeout(20)
        (link,) = re.findall(r"http\S+#token=\S+", mails[-1].text)
        page.goto("/healthz")
        page.goto(link)

    return open_link


@pytest.fixture
def admin(open_browser, email, server):
    """A page on which an administrator is signed in, in a browser of its own."""
    page = open_browser(refusals="40[0134]|429").new_page()
    return make_admin(register(page, f"admin-{email}"), f"admin-{email}", server)
