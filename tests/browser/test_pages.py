"""The pages in a real browser, against a real server."""

import json

import pytest

from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.pages import PAGES, barriers, login, register
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process
# What the script puts in, for a user without a role
FILLED = {"/account": "#event-list li", "/api/docs/": ".opblock"}
FILLED |= dict.fromkeys(("/admin/", "/admin/users/1/", "/admin/events/"), "#refused a")
REFRESH = "import('/static/session.js').then(({ client }) => client.refresh())"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 3, "RATE_LIMITS": "off", "MAIL_URL": f"file:{folder}"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


def test_no_page_has_a_barrier_or_overflows(open_browser, email):
    stranger = open_browser().new_page()
    signed_in = register(open_browser().new_page(), email)
    found = {}
    for path in PAGES:
        page = signed_in if path in FILLED else stranger
        page.goto("/healthz")  # so that a fragment alone does not stay on the page
        page.goto(path)
        page.locator(FILLED.get(path, "h1")).first.wait_for()
        if path == "/api/docs/":
            page.locator("#operations-auth-login .opblock-summary-control").click()
            page.locator("#operations-auth-login textarea").wait_for()
        if faults := barriers(page):
            found[path] = faults
    assert found == {}


def test_without_javascript_a_page_says_so_and_sends_nothing(open_browser):
    page = open_browser(java_script_enabled=False).new_page()
    for path in ("/", "/register", "/login", "/account"):
        page.goto(path)
        assert "need JavaScript" in page.locator("noscript p").inner_text()
        for button in page.locator("button").all():
            assert button.is_disabled()


def test_errors_stand_beside_their_fields(page, email):
    register(page, email)
    page.locator("#sign-out").click()
    page.wait_for_url("**/login")
    page.goto("/register")
    page.get_by_role("button", name="Create account").click()
    assert page.locator("#email").evaluate("(input) => input === document.activeElement")
    assert page.locator("#email-error").inner_text() == "Please fill in this field."
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Username").fill("no")
    page.get_by_label("Password", exact=True).fill("short")
    assert page.locator("output").inner_text() == "Too short: 8 characters or more."
    page.get_by_label("Password", exact=True).press("Enter")
    page.get_by_role("alert").get_by_text("Please check the marked fields.").wait_for()
    for field in ("username", "password"):
        assert page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
        assert f"{field}-error" in page.locator(f"#{field}").get_attribute("aria-describedby")
        assert page.locator(f"#{field}-error").inner_text()
    assert page.locator(".strength").is_hidden()  # one message for one fault
    page.get_by_label("Username").fill("")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    assert page.locator("output").inner_text() == "Strong."
    page.get_by_role("button", name="Create account").click()
    page.get_by_text("exists already").wait_for()
    assert page.locator("#email").get_attribute("aria-invalid") == "true"


def test_it_works_by_keyboard_and_shows_the_password_on_demand(page, email):
    register(page, email)
    page.locator("#sign-out").press("Enter")
    page.wait_for_url("**/login")
    for key in ("Tab", "Enter"):
        page.keyboard.press(key)  # the skip link
    for typed in (email, "not the password"):
        page.keyboard.press("Tab")
        page.keyboard.type(typed)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#password").get_attribute("type") == "text"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("Wrong e-mail, username or password.").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account")


def test_devices_are_listed_and_signed_out(open_browser, email):
    page = register(open_browser().new_page(), email)
    phone, laptop = (login(open_browser(user_agent=agent).new_page(), email) for agent in AGENTS)
    page.evaluate(REFRESH)
    page.reload()  # after the latest use of all
    rows = page.locator("#device-list li")
    rows.nth(2).wait_for()
    assert "this device" in rows.nth(0).inner_text()
    rows.filter(has_text="Safari on iOS").get_by_role("button").click()
    page.get_by_text("The device is signed out.").wait_for()
    assert rows.count() == 2
    phone.reload()
    phone.wait_for_url("**/login")
    page.get_by_role("button", name="Sign out all other devices").click()
    page.get_by_text("All other devices are signed out.").wait_for()
    assert rows.count() == 1
    laptop.reload()
    laptop.wait_for_url("**/login")
    page.get_by_text("Signed out", exact=True).wait_for()


AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
)


def test_everything_stored_can_be_downloaded(page, email):
    register(page, email)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download your data").click()
    with open(download.value.path()) as file:
        exported = json.load(file)
    assert exported["user"]["email"] == email
    assert PASSWORD not in json.dumps(exported)


def test_the_reference_tries_calls_out_as_who_is_signed_in_or_with_a_token(page, email, server):
    register(page, email)
    with ApiConnection(server) as api:
        other = api.register(f"other-{email}").json["tokens"]["access"]
    page.goto("/api/docs/")
    for name in ("resend_verification", "user"):
        call = page.locator(f"#operations-auth-{name}")
        call.locator(".opblock-summary-control").click()
        page.evaluate(REFRESH)  # these tokens are too short-lived for who repeats nothing
        call.get_by_role("button", name="Execute").click()
        call.locator(".live-responses-table").get_by_text("x-request-id").wait_for()
    call.locator(".live-responses-table").get_by_text(f'"{email}"').wait_for()
    status = page.locator("#operations-auth-resend_verification .live-responses-table")
    assert "202" in status.inner_text()
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container", has_text="bearer").get_by_role("textbox").fill(other)
    page.locator(".auth-container", has_text="bearer").get_by_role("button").first.click()
    page.get_by_role("button", name="Close").first.click()
    with page.expect_request("**/api/user/") as asked:
        call.get_by_role("button", name="Execute").click()
    headers = asked.value.all_headers()
    assert headers["authorization"] == f"Bearer {other}"
    assert "cookie" not in headers  # beside a token, it would be refused
