"""Two-step sign-in and passkeys on the pages, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.account_steps import (
    confirm,
    first_step,
    in_account,
    save_codes,
    set_up_app,
    sign_out,
)
from tests.support.constants import PASSWORD
from tests.support.pages import barriers, register
from tests.support.second_factors import Authenticator
from tests.support.virtual_authenticators import VirtualAuthenticator

pytestmark = pytest.mark.untraced  # the server is another process

NEW_PASSWORD = "four quite different words"


@pytest.fixture(scope="module")
def server(localhost_server):
    return localhost_server


def test_a_code_is_asked_for_once_an_app_is_set_up(member, email):
    app, codes = set_up_app(member)
    assert len(codes) == 10
    assert member.locator("#two-step-state").inner_text() == "on"
    assert member.locator("#codes-left").inner_text() == "10 codes left"
    sign_out(member)
    first_step(member, email)
    field = member.get_by_label("Code from your authenticator app")
    field.wait_for()
    assert field.evaluate("(input) => input === document.activeElement")
    assert (field.get_attribute("autocomplete"), field.get_attribute("inputmode")) == (
        "one-time-code",
        "numeric",
    )
    field.fill(app.wrong_code())
    field.press("Enter")
    member.get_by_role("alert").get_by_text("code").wait_for()
    assert field.evaluate("(input) => input === document.activeElement")
    field.fill(app.code(1))
    field.press("Enter")
    in_account(member)
    member.get_by_text("Failed second step").wait_for()


def test_a_recovery_code_signs_in_and_the_device_is_remembered(member, email):
    _, codes = set_up_app(member)
    sign_out(member)
    first_step(member, email)
    member.get_by_role("button", name="Use a recovery code instead").click()
    field = member.get_by_label("Recovery code")
    assert field.evaluate("(input) => input === document.activeElement")
    field.fill(codes[0].lower())
    member.get_by_label("Do not ask again on this device").check()
    member.get_by_role("button", name="Continue").click()
    in_account(member)
    assert member.locator("#codes-left").inner_text() == "9 codes left"
    sign_out(member)
    first_step(member, email)
    in_account(member)
    member.get_by_role("button", name="Forget all").click()
    member.get_by_text("Every device asks for the second step again.").wait_for()
    sign_out(member)
    first_step(member, email)
    member.get_by_label("Code from your authenticator app").wait_for()


def test_a_ticket_that_has_ended_leads_back_to_the_password(member, email):
    app, _ = set_up_app(member)
    sign_out(member)
    first_step(member, email)
    field = member.get_by_label("Code from your authenticator app")
    for _ in range(5):
        field.fill(app.wrong_code())
        with member.expect_response("**/second-step/"):
            field.press("Enter")
        member.locator("#second-step form[aria-busy=false]").wait_for()
    field.fill(app.code(1))
    field.press("Enter")
    member.get_by_text("Please enter your password again.").wait_for()
    password = member.get_by_label("Password", exact=True)
    assert password.evaluate("(input) => input === document.activeElement")
    password.fill(PASSWORD)
    password.press("Enter")
    field.fill(app.code(1))
    field.press("Enter")
    in_account(member)


def test_a_second_step_that_takes_too_long_leads_back_to_the_password(member, email):
    app, _ = set_up_app(member)
    sign_out(member)
    member.clock.install()
    member.reload()
    first_step(member, email)
    field = member.get_by_label("Code from your authenticator app")
    field.fill("123")
    member.clock.fast_forward(290_000)
    assert field.is_visible()
    member.clock.fast_forward(10_000)
    member.get_by_role("alert").get_by_text("This sign-in took too long").wait_for()
    assert not field.is_visible()
    password = member.get_by_label("Password", exact=True)
    assert password.evaluate("(input) => input === document.activeElement")
    assert member.get_by_label("E-mail address or username").input_value() == email
    member.keyboard.type(PASSWORD)
    member.keyboard.press("Enter")
    field.wait_for()
    assert field.input_value() == ""
    field.fill(app.code(1))
    field.press("Enter")
    in_account(member)


def test_what_is_sensitive_asks_for_password_and_code_in_one_place(member, email):
    app, codes = set_up_app(member)
    assert not member.locator("#current_password").is_visible()
    form = member.locator("#password form")
    form.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    form.get_by_role("button", name="Change password").click()
    confirm(member, "not the password", code=app.code(1))
    dialog = member.get_by_role("dialog", name="Confirm it is you")
    dialog.get_by_text("This is not your password.").wait_for()
    member.keyboard.press("Escape")
    assert not form.locator(".notice").is_visible()  # cancelled, so nothing to tell
    form.get_by_role("button", name="Change password").click()
    confirm(member, PASSWORD, code=app.code(1))
    form.get_by_text("Your password is changed").wait_for()

    member.get_by_text("Change the address").click()
    form = member.locator("#change-email")
    form.get_by_label("New e-mail address").fill(f"new-{email}")
    form.get_by_role("button", name="Send the link").click()
    confirm(member, NEW_PASSWORD, recovery_code=codes[0])
    form.get_by_text("We have sent a link").wait_for()

    member.get_by_role("button", name="Create new codes").click()
    confirm(member)  # what was confirmed a moment ago
    assert save_codes(member)[0] not in codes
    member.get_by_text("You have new recovery codes.").wait_for()
    member.get_by_role("button", name="Delete account").click()
    member.get_by_role("button", name="Delete for good").click()
    confirm(member)
    member.get_by_text("Your account is deleted").wait_for()


def test_removing_the_app_ends_two_step_sign_in(member, email):
    _, codes = set_up_app(member)
    member.locator("#remove-app").click()
    confirm(member, PASSWORD, recovery_code=codes[3])
    member.get_by_text("The authenticator app is removed.").wait_for()
    assert member.locator("#two-step-state").inner_text() == "off"
    assert member.locator("#current_password").is_visible()
    sign_out(member)
    first_step(member, email)
    in_account(member)


def test_an_address_is_confirmed_before_a_factor_is_added(page, email):
    register(page, email)
    page.get_by_text("Confirm your e-mail address first.").wait_for()
    assert page.locator("#set-up").is_disabled()
    assert page.locator("#add-passkey").is_disabled()


def test_recovery_codes_are_copied_printed_and_downloaded(member):
    member.context.grant_permissions(["clipboard-read", "clipboard-write"])
    member.get_by_role("button", name="Set up").click()
    confirm(member, PASSWORD)
    dialog = member.get_by_role("dialog", name="Set up an authenticator app")
    assert dialog.locator("img").evaluate(
        "(image) => image.decode().then(() => image.naturalWidth)"
    )
    link = dialog.get_by_role("link").get_attribute("href")
    assert re.match(r"otpauth://totp/", link)
    app = Authenticator(dialog.locator(".key").inner_text().replace(" ", ""))
    dialog.get_by_label("Code from the app").fill(app.code())
    dialog.get_by_role("button", name="Turn on").click()
    first = member.locator("#codes-dialog .codes li").first.inner_text()
    member.get_by_role("button", name="Copy").click()
    member.get_by_text("The codes are copied.").wait_for()
    assert first in member.evaluate("navigator.clipboard.readText()")
    with member.expect_download() as download:
        member.get_by_role("button", name="Download", exact=True).click()
    assert first in download.value.path().read_text()
    member.emulate_media(media="print")
    assert member.get_by_text(first).is_visible()
    assert not member.get_by_role("heading", name="Profile").is_visible()
    member.emulate_media(media="screen")
    member.keyboard.press("Escape")  # would lose the codes
    assert member.get_by_text(first).is_visible()


def test_the_second_step_works_by_keyboard_alone(member, email):
    _, codes = set_up_app(member)
    member.locator("#sign-out").press("Enter")
    member.wait_for_url("**/login")
    member.get_by_label("E-mail address or username").focus()
    member.keyboard.type(email)
    member.keyboard.press("Tab")
    member.keyboard.type(PASSWORD)
    member.keyboard.press("Enter")
    member.get_by_label("Code from your authenticator app").wait_for()
    for _ in range(3):  # remember this device, Continue, the other way
        member.keyboard.press("Tab")
    member.keyboard.press("Enter")
    member.keyboard.type(codes[0])
    member.keyboard.press("Tab")
    member.keyboard.press("Space")
    assert member.get_by_label("Do not ask again on this device").is_checked()
    member.keyboard.press("Enter")
    in_account(member)
    member.locator("#replace-codes").press("Enter")
    member.keyboard.type(PASSWORD)
    for _ in range(2):
        member.keyboard.press("Tab")  # past the button that shows the password
    member.keyboard.press("Shift+Tab")
    member.keyboard.press("Escape")
    member.locator("#confirm-dialog").wait_for(state="hidden")
    expect(member.locator("#replace-codes")).to_be_focused()


def test_a_confirmation_is_cancelled_and_completed_by_keyboard_alone(member):
    app, codes = set_up_app(member)
    dialog = member.get_by_role("dialog", name="Confirm it is you")
    opener = member.locator("#replace-codes")
    opener.focus()
    for key in ("Enter", "Space"):
        member.keyboard.press(key)
        dialog.wait_for()
        member.keyboard.type("half of the")
        member.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        expect(opener).to_be_focused()
    member.keyboard.press("Enter")
    dialog.wait_for()
    member.keyboard.type(PASSWORD)
    for _ in range(2):  # the button that shows the password, the code
        member.keyboard.press("Tab")
    member.keyboard.type(app.code(1))
    member.keyboard.press("Enter")
    member.get_by_role("heading", name="Save your recovery codes").wait_for()
    shown = member.locator("#codes-dialog .codes li").all_inner_texts()
    assert len(shown) == 10
    assert not set(shown) & set(codes)
    saved = member.get_by_role("button", name="I have saved them")
    for _ in range(5):
        if saved.evaluate("(button) => button === document.activeElement"):
            break
        member.keyboard.press("Tab")
    member.keyboard.press("Enter")
    member.get_by_text("You have new recovery codes.").wait_for()
    expect(member.locator("#two-step-title")).to_be_focused()  # of the section that has changed


def test_no_step_has_a_barrier_or_overflows(member, email):
    def check(step):
        assert barriers(member) == {}, step

    member.get_by_role("button", name="Set up").click()
    member.locator("#confirm-password").wait_for()
    check("confirm with a password")
    confirm(member, PASSWORD)
    dialog = member.get_by_role("dialog", name="Set up an authenticator app")
    dialog.get_by_label("Code from the app").wait_for()
    check("set up an app")
    app = Authenticator(dialog.locator(".key").inner_text().replace(" ", ""))
    dialog.get_by_label("Code from the app").fill(app.code())
    dialog.get_by_role("button", name="Turn on").click()
    member.get_by_role("heading", name="Save your recovery codes").wait_for()
    check("recovery codes")
    codes = save_codes(member)
    member.get_by_text("Two-step sign-in is on.").wait_for()
    authenticator = VirtualAuthenticator(member)
    member.get_by_role("button", name="Add a passkey").click()
    confirm(member, PASSWORD, recovery_code=codes[0])
    member.get_by_text("The passkey is added.").wait_for()
    check("the account")
    member.get_by_role("button", name="Remove the passkey").click()
    check("confirm with a valid proof")
    member.keyboard.press("Escape")
    member.get_by_role("button", name="Rename the passkey").click()
    check("rename")
    member.keyboard.press("Escape")
    authenticator.consent(is_given=False)
    member.reload()
    in_account(member)
    member.get_by_role("button", name="Create new codes").click()
    check("confirm with a factor")
    member.keyboard.press("Escape")
    sign_out(member)
    check("login")
    first_step(member, email)
    member.get_by_label("Code from your authenticator app").wait_for()
    check("second step")
    member.get_by_role("button", name="Use a recovery code instead").click()
    check("recovery code")
