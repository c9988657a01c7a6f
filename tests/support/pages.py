"""The pages: their paths, and sign-ins by their forms."""

import re

from tests.support.constants import PASSWORD
from tests.support.tools import JS

PAGES = (
    "/",
    "/register",
    "/login",
    "/forgot-password",
    "/reset-password#token=abc",
    "/reset-password",
    "/verify-email#token=abc",
    "/verify-email",
    "/undo-email#token=abc",
    "/undo-email",
    "/undo-factors#token=abc",
    "/undo-factors",
    "/accept-invitation#token=abc",
    "/accept-invitation",
    "/account",
    "/admin/",
    "/admin/users/1/",
    "/admin/events/",
    "/api/docs/",
)


AXE = JS / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """Promise.allSettled(document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime !== Infinity)
    .map((one) => one.finished))
  .then(() => axe.run({ resultTypes: ['violations'] })).then((found) => found.violations)"""
WIDTHS = {"light": (320, 390, 1440), "dark": (1440, 390, 320)}


def barriers(page):
    """Return the faults that axe finds on a page, in both schemes, at all widths.

    Raises ``AssertionError`` if the page overflows.
    """
    found = {}
    page.evaluate(AXE.read_text())
    for scheme, widths in WIDTHS.items():
        page.emulate_media(color_scheme=scheme)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
        if violations := page.evaluate(RUN_AXE):
            found[scheme] = [(one["id"], one["nodes"][0]["html"]) for one in violations]
    return found


def register(page, email):
    page.goto("/register")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page


def login(page, email, password=PASSWORD):
    page.goto("/login")
    page.get_by_label("E-mail address or username").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page


def open_confirmation(page, email, mailbox):
    """Confirm the address of a new account by its mail."""
    for _ in range(1000):
        own = [mail for mail in mailbox.mails if mail.to == email]
        mails = [mail for mail in own if "/verify-email" in mail.text]
        if mails:
            break
        page.wait_for_timeout(20)
    (link,) = re.findall(r"http\S+#token=\S+", mails[-1].text)
    page.goto(link)
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_role("link", name="Go to your account").wait_for()


def confirm_address(page, email, mailbox):
    """Confirm the address of a new account by its mail, and open the account again."""
    open_confirmation(page, email, mailbox)
    page.get_by_role("link", name="Go to your account").click()
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page
