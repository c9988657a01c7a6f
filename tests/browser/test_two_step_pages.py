"""Two-step sign-in and passkeys on the pages, in a real browser."""

import re

import pytest

from tests.support.constants import PASSWORD
from tests.support.mail_server import MailServer
from tests.support.pages import barriers, confirm_address, register
from tests.support.ports import free_port
from tests.support.second_factors import Authenticator
from tests.support.servers import Server
from tests.support.virtual_authenticators import VirtualAuthenticator

pytestmark = pytest.mark.untraced  # the server is another process

NEW_PASSWORD = "four quite different words"


@pytest.fixture(scope="module")
def mailbox():
    with MailServer() as mailbox:
        yield mailbox


@pytest.fixture(scope="module")
def server(tmp_path_factory, mailbox):
    """A server at localhost: an IP address has no passkeys."""
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    settings = {"RATE_LIMITS": "off", "MAIL_URL": mailbox.url, "PORT": port}
    settings["PUBLIC_URL"] = f"http://localhost:{port}"
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        running.url = settings["PUBLIC_URL"]
        yield running


@pytest.fixture
def member(page, email, mailbox):
    """A page on which a user with a confirmed address is signed in."""
    return confirm_address(register(page, email), email, mailbox)


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


def add_passkey(page, password=PASSWORD):
    """Add the account's first passkey, and return its authenticator and the recovery codes."""
    authenticator = VirtualAuthenticator(page)
    page.get_by_role("button", name="Add a passkey").click()
    confirm(page, password)
    codes = save_codes(page)
    page.get_by_text("The passkey is added.").wait_for()
    return authenticator, codes


def test_a_passkey_signs_in_from_the_suggestions_of_the_address_field(member):
    add_passkey(member)
    sign_out(member)
    in_account(member)  # the virtual authenticator chooses by itself


RECORD_REQUESTS = """(() => {
  window.requests = [];
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = (options) => (window.requests.push(options), get(options));
})()"""
SEEN = "window.requests.map(({ mediation, signal }) => [mediation ?? 'modal', signal.aborted])"


def requests(page, count):
    """Return the first so many requests of a page, and whether each was aborted."""
    for _ in range(500):
        if len(seen := page.evaluate(SEEN)) >= count:
            break
        page.wait_for_timeout(20)
    return seen


def test_the_button_takes_over_from_the_suggestions(member):
    authenticator, codes = add_passkey(member)
    assert (len(authenticator.credentials()), len(codes)) == (1, 10)
    authenticator.consent(is_given=False)
    member.add_init_script(RECORD_REQUESTS)
    sign_out(member)
    assert requests(member, 1) == [["conditional", False]]

    def consent(route):
        assert requests(member, 1) == [["conditional", True]]  # so this one gets no answer
        authenticator.consent(is_given=True)
        route.continue_()

    member.route("**/login/passkey/options/", consent)
    member.get_by_role("button", name="Sign in with a passkey").click()
    in_account(member)


def test_a_passkey_is_the_second_step_and_confirms_changes(member, email):
    authenticator, _ = add_passkey(member)
    authenticator.consent(is_given=False)
    sign_out(member)
    first_step(member, email)
    assert not member.get_by_label("Code from your authenticator app").is_visible()
    button = member.get_by_role("button", name="Use a passkey")
    button.wait_for()
    assert button.evaluate("(button) => button === document.activeElement")
    authenticator.consent(is_given=True)
    button.press("Enter")
    in_account(member)
    member.get_by_role("button", name="Rename").click()
    member.get_by_label("Name", exact=True).fill("My laptop")
    member.get_by_role("button", name="Save name").click()
    dialog = member.get_by_role("dialog", name="Confirm it is you")
    assert not dialog.get_by_label("Your password", exact=True).is_visible()
    dialog.get_by_role("button", name="Use a passkey").click()
    member.get_by_text("The passkey is renamed.").wait_for()
    member.get_by_role("button", name="Remove the passkey My laptop").click()
    confirm(member)
    member.get_by_text("The passkey is removed.").wait_for()
    assert member.locator("#two-step-state").inner_text() == "off"
    for _ in range(100):
        if not authenticator.credentials():
            break
        member.wait_for_timeout(20)
    assert authenticator.credentials() == []  # the page has reported the removal


def test_a_passkey_that_does_not_know_its_user_is_told_and_the_password_remains(member, email):
    authenticator, codes = add_passkey(member)
    authenticator.consent(is_given=False)
    sign_out(member)
    authenticator.verify(succeeds=False)
    authenticator.consent(is_given=True)
    member.get_by_role("button", name="Sign in with a passkey").click()
    member.get_by_text("No passkey was used").wait_for()
    first_step(member, email)
    member.get_by_role("button", name="Use a recovery code instead").click()
    member.get_by_label("Recovery code").fill(codes[0])
    member.get_by_role("button", name="Continue").click()
    in_account(member)


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
    assert member.locator("#replace-codes").evaluate("(one) => one === document.activeElement")


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
