"""The flows of test_tabs.py by cookie: the scripts never see a token."""

import re

import pytest

from tests.support.clocks import until_expired
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.pages import login, register
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
)

pytestmark = pytest.mark.untraced  # the server is another process

ROUNDS = 10
LOG_IN = """([email, password]) => import('/static/session.js')
  .then(({ client }) => client.login({ email, password }))"""
READABLE = """() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]
  .join('\\n')"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cookies")
    settings = {"JWT_ACCESS_TOKEN_EXPIRES": 2, "RATE_LIMITS": "off"}
    with Server(folder, f"sqlite:///{folder / 'pycoder.db'}", **settings) as running:
        yield running


@pytest.fixture
def context(browser, server):
    with browser.new_context(base_url=server.url) as context:
        context.set_default_timeout(20_000)
        yield context


@pytest.fixture
def tab(context, server):
    """A tab on the start page, whose browser is signed in by cookie."""
    return signed_in(context, server)


def cookies(context):
    kept = {cookie["name"]: cookie["value"] for cookie in context.cookies()}
    kept.pop("device")
    return kept


def replay(server, kept, key=None):
    """Refresh with cookies that somebody has copied."""
    cookie = f"pycoder_refresh={kept['pycoder_refresh']}"
    headers = {"X-CSRF-TOKEN": kept["pycoder_csrf"], "Cookie": cookie}
    headers |= {"Idempotency-Key": key} if key else {}
    with ApiConnection(server) as api:
        return api.call("POST", "/api/token/refresh/", **headers)


def test_no_token_is_readable_from_javascript(context, email):
    page, bodies, set_cookies = context.new_page(), [], []

    def listen(route):
        answer = route.fetch()
        bodies.append(answer.text())
        set_cookies.extend(h["value"] for h in answer.headers_array if h["name"] == "Set-Cookie")
        route.fulfill(response=answer)

    context.route("**/api/**", listen)
    readable = []

    def look():
        kept = cookies(context)
        assert kept.keys() == {"pycoder_access", "pycoder_refresh", "pycoder_csrf"}
        readable.append(page.evaluate(READABLE))
        assert kept["pycoder_csrf"] in readable[-1]

    register(page, email)
    look()
    until_expired()
    page.get_by_role("button", name="Download your data").click()
    page.get_by_label("Current password", exact=True).fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("four quite different words")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password is changed").wait_for()
    look()
    page.locator("#sign-out").click()
    page.wait_for_url("**/login")
    assert cookies(context) == {}
    page.goto("/")
    page.evaluate(LOG_IN, [email, "four quite different words"])
    look()
    tokens = re.findall(r"pycoder_(?:access|refresh)=([^;]{20,})", "\n".join(set_cookies))
    assert len(tokens) >= 8
    everything = "\n".join([*bodies, *readable])
    assert '"csrf_token"' in everything
    assert [token for token in tokens if token in everything] == []
    assert "eyJ" not in everything


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
    second.evaluate(CALL_WHEN_TOLD)
    seen = refreshes(context)
    assert first.evaluate(BOTH_EXPIRE, [ROUNDS, first.email]) == 2 * ROUNDS
    assert len(seen) >= ROUNDS


@pytest.mark.parametrize("arrive", [False, True], ids=["all lost", "cookies arrive"])
def test_a_lost_answer_and_a_reload_log_nobody_out(tab, context, server, arrive):
    keys = []

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        if arrive:
            route.fetch()  # which takes the cookies over, as a browser does before the body comes
        else:
            assert replay(server, cookies(context), keys[-1]).status == 200
        route.abort("connectionreset")

    context.route("**/api/token/refresh/", lose, times=2)
    before = cookies(context)["pycoder_refresh"]
    tab.evaluate(EXPIRE)
    tab.evaluate(f"void {WHO}.catch(() => null)")
    while len(keys) < 1:
        tab.wait_for_timeout(10)
    tab.reload()
    assert tab.evaluate(WHO) == tab.email
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert cookies(context)["pycoder_refresh"] != before
    tab.evaluate(EXPIRE)
    assert tab.evaluate(WHO) == tab.email


def test_logout_in_one_tab_reaches_the_other(tab, context, server):
    other = context.new_page()
    other.goto("/account")
    other.wait_for_selector("#device-list li")
    tab.goto("/account")
    until_expired()  # an expired access cookie signs out, too
    kept = cookies(context)
    tab.locator("#sign-out").click()
    for page in (tab, other):
        page.wait_for_url("**/login")
    assert cookies(context) == {}
    assert replay(server, kept).json["code"] == "token_revoked"


def test_a_stolen_old_token_ends_the_session_and_the_page_says_why(tab, context, server):
    tab.goto("/account")
    tab.wait_for_selector("#device-list li")
    stolen = cookies(context)
    tab.evaluate("import('/static/session.js').then(({ client }) => client.refresh())")
    assert replay(server, stolen).json["code"] == "token_reused"
    tab.evaluate(EXPIRE)
    tab.get_by_role("button", name="Download your data").click()
    tab.wait_for_url("**/login")
    assert "an old token of it was used again" in tab.locator("#ended").inner_text()
    login(tab, tab.email)
    tab.get_by_text("Session ended because an old token of it was used again").wait_for()
