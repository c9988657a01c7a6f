"""The pages: their paths, and sign-ins by their forms."""

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
