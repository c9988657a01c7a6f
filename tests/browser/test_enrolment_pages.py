"""The set-up of an authenticator app at a sign-in, where a second factor is required."""

import pytest

from tests.support.constants import PASSWORD
from tests.support.pages import barriers, open_confirmation, register
from tests.support.second_factors import Authenticator
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.fixture(scope="module")
def server(tmp_path_factory, mailbox):
    folder = tmp_path_factory.mktemp("pages")
    settings = {"RATE_LIMITS": "off", "MAIL_URL": mailbox.url, "SECOND_FACTOR": "required"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


def log_in(page, email):
    page.locator("#sign-out").click()
    page.wait_for_url("**/login")
    page.get_by_label("E-mail address or username").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_an_app_is_set_up_at_the_sign_in_that_requires_it(page, email, mailbox):
    register(page, email)
    log_in(page, email)
    page.get_by_role("alert").get_by_text("address").wait_for()  # it is not confirmed yet
    open_confirmation(page, email, mailbox)
    page.goto("/login")
    page.get_by_label("E-mail address or username").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Set up two-step sign-in").wait_for()
    field = page.get_by_label("Code from the app")
    field.wait_for()
    assert barriers(page) == {}
    app = Authenticator(page.locator("#enrolment .key").inner_text().replace(" ", ""))
    field.fill(app.wrong_code())
    field.press("Enter")
    page.get_by_role("alert").get_by_text("code").wait_for()
    field.fill(app.code())
    field.press("Enter")
    page.get_by_role("heading", name="Save your recovery codes").wait_for()
    assert page.locator("#new-codes .codes li").count() == 10
    assert page.url.endswith("/login")  # until the codes are saved
    assert barriers(page) == {}
    page.get_by_role("button", name="Go to your account").click()
    page.wait_for_url("**/account")
    page.locator("#two-step-state", has_text="on").wait_for()
