"""The client in a real browser: tabs, lost responses, a server that is away, stolen tokens.

The scripts keep the tokens. test_cookie_tabs.py does the same with cookies.
"""

import time

import pytest

from tests.support.clocks import until_expired
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD, SOAK
from tests.support.servers import Server
from tests.support.tabs import (
    BOTH_EXPIRE,
    CALL_FIVE,
    CALL_WHEN_TOLD,
    EXPIRE,
    NO_LOCKS,
    WHO,
    refreshes,
    signed_in,
    stored,
)

pytestmark = pytest.mark.untraced  # the server is another process

ROUNDS = 20 * SOAK


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tabs")
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "RATE_LIMITS": "off", "WEB_TRANSPORT": "body"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


@pytest.fixture
def context(browser, server):
    with browser.new_context(base_url=server.url) as context:
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture
def tab(context, server):
    """A tab on the start page, whose browser is signed in."""
    return signed_in(context, server)


def test_five_calls_after_expiry_make_one_refresh(tab, context):
    seen = refreshes(context)
    until_expired()
    assert tab.evaluate(CALL_FIVE) == [200] * 5
    assert len(seen) == 1


@pytest.mark.parametrize("locks", [True, False])
def test_two_tabs_that_expire_together_stay_signed_in(context, server, locks):
    if not locks:
        context.add_init_script(NO_LOCKS)
    first = signed_in(context, server)
    second = context.new_page()
    second.goto("/")
    assert second.evaluate("'locks' in navigator && Boolean(navigator.locks)") is locks
    seen = refreshes(context)
    began = time.monotonic()
    second.evaluate(CALL_WHEN_TOLD)
    assert first.evaluate(BOTH_EXPIRE, [ROUNDS, first.email]) == 2 * ROUNDS
    by_themselves = (time.monotonic() - began) / 1.5 + 1  # tokens that expired meanwhile
    twice = 0.5 if locks else 1  # with locks only where a tab sees late what the other stored
    assert ROUNDS <= len(seen) <= ROUNDS * (1 + twice) + by_themselves


def test_a_lost_answer_and_a_reload_log_nobody_out(tab, context):
    keys = []

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        route.fetch()  # the server has rotated, and nobody hears of it
        route.abort("connectionreset")

    context.route("**/api/token/refresh/", lose, times=2)
    before = stored(tab)
    tab.evaluate(EXPIRE)
    tab.evaluate(f"void {WHO}.catch(() => null)")
    while len(keys) < 1:
        tab.wait_for_timeout(10)
    tab.reload()
    assert tab.evaluate(WHO) == tab.email
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert stored(tab) != before
    tab.evaluate(EXPIRE)
    assert tab.evaluate(WHO) == tab.email


def test_a_server_that_is_down_for_ten_seconds_logs_nobody_out(tab, server):
    tab.clock.install()  # ten seconds of the browser's clock
    tab.goto("/account")
    tab.wait_for_selector("#device-list li")
    tab.clock.pause_at(tab.evaluate("Date.now() / 1000") + 1)  # a slow machine takes no time away
    server.kill()
    tab.evaluate(EXPIRE)
    tab.evaluate(f"void (window.waiting = {WHO}.catch((error) => error.code))")
    tab.get_by_role("button", name="Download your data").click()
    for _ in range(100):
        tab.clock.run_for(100)
    assert stored(tab) is not None
    server.start()
    tab.clock.resume()
    assert tab.evaluate("window.waiting") == tab.email
    assert tab.url.endswith("/account")
    tab.reload()
    tab.wait_for_selector("#device-list li")


def test_a_page_that_opens_while_the_server_is_unavailable_waits_for_it(tab, context):
    away = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"detail": "Not now."}}
    context.route("**/api/user/", lambda route: route.fulfill(**away), times=1)
    tab.goto("/account")
    tab.get_by_text("You are still signed in").wait_for()
    tab.wait_for_selector("#device-list li")


def test_logout_in_one_tab_reaches_the_other(tab, context):
    other = context.new_page()
    other.goto("/account")
    other.wait_for_selector("#device-list li")
    tab.goto("/account")
    access = stored(tab, "access_token")
    tab.locator("#sign-out").click()
    for page in (tab, other):
        page.wait_for_url("**/login")
        assert stored(page) is None
    answer = context.request.get("/api/user/", headers={"Authorization": f"Bearer {access}"})
    assert answer.json()["code"] in ("token_revoked", "token_expired")


def test_a_stolen_old_token_ends_the_session_and_the_page_says_why(tab, server):
    tab.goto("/account")
    tab.wait_for_selector("#device-list li")
    stolen = stored(tab)
    tab.evaluate("import('/static/session.js').then(({ client }) => client.refresh())")
    with ApiConnection(server) as thief:
        assert thief.refresh(stolen).json["code"] == "token_reused"
    tab.evaluate(EXPIRE)
    tab.get_by_role("button", name="Download your data").click()
    tab.wait_for_url("**/login")
    assert "an old token of it was used again" in tab.locator("#ended").inner_text()
    tab.get_by_label("E-mail address or username").fill(tab.email)
    tab.get_by_label("Password", exact=True).fill(PASSWORD)
    tab.get_by_label("Password", exact=True).press("Enter")
    tab.wait_for_url("**/account")
    tab.get_by_text("Session ended because an old token of it was used again").wait_for()


def test_an_owner_who_comes_second_with_a_stolen_token_is_told_so(tab, server):
    with ApiConnection(server) as thief:
        assert thief.refresh(stored(tab)).status == 200
    tab.evaluate(EXPIRE)
    tab.goto("/account")
    tab.wait_for_url("**/login")
    assert "ended to protect you" in tab.locator("#ended").inner_text()
