"""The steps of a sign-in and of a confirmation, as a user takes them on the pages."""

from tests.support.constants import PASSWORD
from tests.support.second_factors import Authenticator


def set_up_app(page):
    """Set up an authenticator app, and return it with the recovery codes."""
    page.get_by_role("button", name="Set up").click()
    confirm(page, PASSWORD)
    dialog = page.get_by_role("dialog", name="Set up an authenticator app")
    dialog.get_by_label("Code from the app").wait_for()
    app = Authenticator(dialog.locator(".key").inner_text().replace(" ", ""))
    dialog.get_by_label("Code from the app").fill(app.code())
    dialog.get_by_role("button", name="Turn on").click()
    codes = save_codes(page)
    page.get_by_text("Two-step sign-in is on.").wait_for()
    return app, codes


def save_codes(page):
    page.get_by_role("heading", name="Save your recovery codes").wait_for()
    codes = page.locator("#codes-dialog .codes li").all_inner_texts()
    page.get_by_role("button", name="I have saved them").click()
    return codes


def confirm(page, password=None, **factor):
    dialog = page.get_by_role("dialog", name="Confirm it is you")
    if password:
        dialog.get_by_label("Your password", exact=True).fill(password)
    if "code" in factor:
        dialog.get_by_label("Code from your authenticator app").fill(factor["code"])
    if "recovery_code" in factor:
        dialog.get_by_role("button", name="Use a recovery code instead").click()
        dialog.get_by_label("Recovery code").fill(factor["recovery_code"])
    dialog.get_by_role("button", name="Confirm").click()


def sign_out(page):
    page.locator("#sign-out").click()
    page.wait_for_url("**/login")


def first_step(page, email, password=PASSWORD):
    page.get_by_label("E-mail address or username").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def in_account(page):
    page.wait_for_url("**/account")
    page.locator("#event-list li").first.wait_for()
    return page
