"""The pages: their paths, and sign-ins by their forms."""

import re

from tests.support.constants import PASSWORD

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
    "/account",
    "/api/docs/",
)


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
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page


def confirm_address(page, email, mailbox):
    """Confirm the address of a new account by its mail, and open the account again."""
    for _ in range(1000):
        mails = [
            mail for mail in mailbox.mails if mail.to == email and "/verify-email" in mail.text
        ]
        if mails:
            break
        page.wait_for_timeout(20)
    (link,) = re.findall(r"http\S+#token=\S+", mails[-1].text)
    page.goto(link)
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_role("link", name="Go to your account").click()
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page
