"""Passkeys on the pages, with a virtual authenticator of a real browser."""

import pytest

from tests.support.account_steps import confirm, first_step, in_account, save_codes, sign_out
from tests.support.constants import PASSWORD
from tests.support.pages import login
from tests.support.virtual_authenticators import VirtualAuthenticator

NEW_PASSWORD = "four quite different words"

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.fixture(scope="module")
def server(localhost_server):
    return localhost_server


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


FOLLOW_THE_CLOCK = """AbortSignal.timeout = (delay) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DOMException("", "TimeoutError")), delay);
  return controller.signal;
}"""  # the clock of the tests moves the timers of a page, but not those of signals
CHALLENGES = "window.requests.map(({ publicKey }) => new Uint8Array(publicKey.challenge).join())"


def test_the_request_that_waits_gets_a_new_challenge_after_four_minutes(member):
    authenticator, _ = add_passkey(member)
    authenticator.consent(is_given=False)
    member.clock.install()
    for script in (RECORD_REQUESTS, FOLLOW_THE_CLOCK):
        member.add_init_script(script)
    sign_out(member)
    assert requests(member, 1) == [["conditional", False]]
    member.clock.fast_forward(230_000)
    assert requests(member, 1) == [["conditional", False]]
    member.clock.fast_forward(10_000)
    assert requests(member, 2) == [["conditional", True], ["conditional", False]]
    first, second = member.evaluate(CHALLENGES)
    assert first != second
    assert not member.get_by_role("alert").is_visible()


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


def open_link(page, mailbox, email, path):
    """Open the link of the mail to an address, as soon as it has arrived."""
    for _ in range(1000):
        mails = [mail for mail in mailbox.mails if mail.to == email and path in mail.text]
        if mails:
            break
        page.wait_for_timeout(20)
    page.goto("/healthz")
    page.goto(mails[-1].link)


def test_a_passkey_that_a_thief_has_added_is_removed_from_the_mailbox(member, email, mailbox):
    page = member
    add_passkey(page)
    open_link(page, mailbox, email, "/undo-factors")
    page.get_by_role("button", name="Remove two-step sign-in").click()
    page.get_by_text("Two-step sign-in is removed").wait_for()
    assert "token" not in page.url
    assert page.get_by_role("link", name="Sign in", exact=True).is_visible()
    open_link(page, mailbox, email, "/reset-password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_text("you are signed out on all devices").wait_for()
    login(page, email, NEW_PASSWORD)
    page.get_by_text("Two-step sign-in removed with a link from an e-mail").wait_for()


def test_a_passkey_that_the_server_does_not_know_is_forgotten_by_its_authenticator(
    member, email, mailbox
):
    authenticator, _ = add_passkey(member)
    authenticator.consent(is_given=False)
    open_link(member, mailbox, email, "/undo-factors")
    member.get_by_role("button", name="Remove two-step sign-in").click()
    member.get_by_text("Two-step sign-in is removed").wait_for()
    member.goto("/login")
    assert len(authenticator.credentials()) == 1  # it was not told yet
    authenticator.consent(is_given=True)
    with member.expect_response("**/api/login/passkey/") as refused:
        member.get_by_role("button", name="Sign in with a passkey").click()
    assert refused.value.json()["code"] == "passkey_unknown"
    member.get_by_role("alert").get_by_text("passkey").wait_for()
    assert authenticator.credentials() == []
