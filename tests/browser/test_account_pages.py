"""The pages that change an account, and the links of its mails, in a real browser."""

import pytest

from tests.support.clocks import until_expired
from tests.support.constants import PASSWORD
from tests.support.pages import login, register
from tests.support.ports import free_port
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

NEW_PASSWORD = "four quite different words"


@pytest.fixture(scope="module")
def server(tmp_path_factory, mailbox):
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "RATE_LIMITS": "off", "MAIL_URL": mailbox.url}
    settings |= {"PORT": port, "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


def test_the_profile_is_changed_and_errors_stand_beside_its_fields(page, email):
    register(page, email)
    page.get_by_label("Username").fill("no")
    page.get_by_role("button", name="Save profile").click()
    page.locator("#username-error").get_by_text("Use 3 to 150").wait_for()
    page.get_by_label("Username").fill(email)
    page.get_by_label("First name").fill("Ada")
    page.get_by_role("button", name="Save profile").click()
    page.get_by_text("Your profile is saved.").wait_for()
    page.get_by_text("Profile changed").wait_for()
    page.reload()
    page.locator("#event-list li").first.wait_for()
    assert page.get_by_label("First name").input_value() == "Ada"


def test_a_new_password_keeps_this_device_and_signs_out_the_others(open_browser, email):
    page = register(open_browser().new_page(), email)
    other = login(open_browser().new_page(), email)
    form = page.locator("#password form")
    form.get_by_label("Current password", exact=True).fill("not the password")
    form.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    form.get_by_role("button", name="Change password").click()
    form.get_by_text("This is not your password.").wait_for()
    form.get_by_label("Current password", exact=True).fill(PASSWORD)
    form.get_by_label("New password", exact=True).fill(email)
    form.get_by_role("button", name="Change password").click()
    form.locator("#new_password-error", has_text="other than your e-mail").wait_for()
    form.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    form.get_by_role("button", name="Change password").click()
    form.get_by_text("Your password is changed").wait_for()
    assert page.locator("#device-list li").count() == 1
    other.reload()
    other.wait_for_url("**/login")
    until_expired()  # the new pair lives on
    page.reload()
    page.get_by_text("Password changed", exact=True).wait_for()
    login(other, email, NEW_PASSWORD)


def test_an_address_is_confirmed_and_changed_by_the_links_of_its_mails(page, email, follow):
    register(page, email)
    assert page.locator("#verified").inner_text() == "not confirmed yet"
    page.get_by_role("button", name="Send the confirmation again").click()
    page.get_by_text("An e-mail with the link is on its way.").wait_for()
    follow(page, email, "/verify-email", count=2)  # the first came with the account
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_role("link", name="Go to your account").click()
    page.locator("#verified", has_text="confirmed").wait_for()
    assert not page.locator("#resend").is_visible()

    page.get_by_text("Change the address").click()
    form = page.locator("#change-email")
    form.get_by_label("New e-mail address").fill(f"new-{email}")
    form.get_by_label("Your password", exact=True).fill(PASSWORD)
    form.get_by_role("button", name="Send the link").click()
    form.get_by_text("We have sent a link").wait_for()
    follow(page, f"new-{email}", "/verify-email")
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_role("link", name="Go to your account").click()
    page.locator("#address", has_text=f"new-{email}").wait_for()


def test_a_forgotten_password_is_replaced_by_a_link_that_works_once(page, email, follow):
    register(page, email)
    page.locator("#sign-out").click()
    page.wait_for_url("**/login")
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send the link").click()
    page.get_by_text("an e-mail with a link is on its way").wait_for()
    follow(page, email, "/reset-password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("you are signed out on all devices").wait_for()
    assert "token" not in page.url
    follow(page, email, "/reset-password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("This link was used before").wait_for()
    page.get_by_role("link", name="Ask for a new one").click()
    page.get_by_role("button", name="Send the link").wait_for()
    login(page, email, NEW_PASSWORD)


def test_an_account_is_deleted_for_good(page, email):
    register(page, email)
    page.get_by_role("button", name="Delete account").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your password", exact=True).fill("not the password")
    dialog.get_by_role("button", name="Delete for good").click()
    dialog.get_by_text("This is not your password.").wait_for()
    dialog.get_by_label("Your password", exact=True).fill(PASSWORD)
    dialog.get_by_label("Your password", exact=True).press("Enter")
    page.get_by_text("Your account is deleted").wait_for()
    assert {cookie["name"] for cookie in page.context.cookies()} == {"device"}
    page.goto("/login")
    page.get_by_label("E-mail address or username").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_text("Wrong e-mail, username or password.").wait_for()


def test_a_change_of_address_is_undone_from_the_mailbox_before(page, email, follow):
    register(page, email)
    page.get_by_text("Change the address").click()
    form = page.locator("#change-email")
    form.get_by_label("New e-mail address").fill(f"new-{email}")
    form.get_by_label("Your password", exact=True).fill(PASSWORD)
    form.get_by_role("button", name="Send the link").click()
    form.get_by_text("We have sent a link").wait_for()
    follow(page, f"new-{email}", "/verify-email")
    page.get_by_role("button", name="Confirm address").click()
    page.get_by_role("link", name="Go to your account").wait_for()
    follow(page, email, "/undo-email")
    page.get_by_role("button", name="Undo the change").click()
    page.get_by_text("Your e-mail address is restored").wait_for()
    assert "token" not in page.url
    assert page.get_by_role("link", name="Sign in", exact=True).is_visible()
    follow(page, email, "/reset-password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("you are signed out on all devices").wait_for()
    login(page, email, NEW_PASSWORD)
