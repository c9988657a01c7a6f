"""The device cookie: it keeps a stranger's failures away from the owner, and grants no access."""

from http.cookies import SimpleCookie

import pytest
from itsdangerous import URLSafeSerializer
from sqlalchemy import func, select

from config import ProductionConfig, TestingConfig
from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.device import Device
from pycoder.models.session import Session
from pycoder.secret_key import derive_key
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import SECRET_KEY
from tests.support.parameters import on_sqlite
from tests.support.password_calls import NEW, ask, change, confirm

WRONG = "this is not the password"
FAILED = [400] * 10


def stranger(app, email="ada@example.com", ip="10.0.0.1"):
    """Somebody on a device that has never been here."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = ip
    return Caller(client, email)


def on_device(app, cookie, email="ada@example.com", ip="10.0.0.2"):
    """Somebody with this device cookie and no other."""
    caller = stranger(app, email, ip)
    caller.client.set_cookie("device", cookie, path="/api/")
    return caller


def device_of(caller):
    return caller.client.get_cookie("device", path="/api/").value


def fail(caller, count=10):
    return [caller.try_login(password=WRONG).status_code for _ in range(count)]


def cookies_of(response):
    return response.headers.getlist("Set-Cookie")


def signed(content, secret=SECRET_KEY, purpose="device cookie"):
    return URLSafeSerializer(derive_key(secret, purpose)).dumps(content)


def opened(cookie):
    return URLSafeSerializer(derive_key(SECRET_KEY, "device cookie")).loads(cookie)


def assert_cookie_attributes(response, *, secure):
    [header] = cookies_of(response)
    cookie = SimpleCookie(header)["device"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/api/"
    assert cookie["max-age"] == str(180 * 86_400)
    assert cookie["domain"] == ""
    assert bool(cookie["secure"]) is secure


def test_a_sign_in_sets_the_device_cookie(app):
    caller = stranger(app)
    assert_cookie_attributes(caller.register(), secure=False)
    assert_cookie_attributes(caller.try_login(), secure=False)


def test_in_production_the_cookie_is_secure(app_with):
    app = app_with(ProductionConfig, PUBLIC_URL="https://id.pycoder.dev")
    assert_cookie_attributes(stranger(app).register(), secure=True)


def test_nothing_but_a_sign_in_sets_it(ada):
    refused = Caller(ada.client, ada.email, WRONG).try_login()
    for response in (refused, ada.refresh(), ada.user(), ada.logout(access=ada.tokens.access)):
        assert cookies_of(response) == []


def test_it_names_the_account_by_its_id_alone(ada):
    pair = opened(device_of(ada))
    assert list(pair) == [str(ada.user().json["id"])]
    assert len(device_of(ada)) < 200


def test_it_opens_nothing(ada, app):
    thief = on_device(app, device_of(ada))
    assert thief.client.get("/api/user/").json["code"] == "token_missing"
    assert thief.client.post("/api/token/refresh/", json={}).status_code == 400
    assert fail(thief, 1) == [400]


@pytest.mark.untraced  # it takes long
@on_sqlite
def test_a_thousand_failures_of_strangers_do_not_lock_the_owner_out(ada, app, rows):
    for n in range(10):
        for _ in range(100):
            assert fail(stranger(app, ip=f"10.0.1.{n}"), 1)[0] in (400, 429)
    assert fail(stranger(app), 1) == [429]
    assert stranger(app).try_login().status_code == 429
    assert ada.try_login().status_code == 200
    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(refused) == [10]


def test_a_device_is_known_to_both_names_of_the_account(ada, app):
    fail(stranger(app))
    body = {"username": "ADA", "password": ada.password}
    assert ada.client.post("/api/login/", json=body).status_code == 200


def test_a_device_is_known_after_logging_out_and_after_months(ada, app):
    ada.logout(access=ada.tokens.access)
    for _ in range(2):
        with later(days=179):
            fail(stranger(app))
            assert ada.try_login().status_code == 200


def test_a_device_is_forgotten_after_half_a_year(ada, app, rows, flask):
    with later(days=180, seconds=5):
        fail(stranger(app))
        assert ada.try_login().status_code == 429
    with later(days=180, hours=1, seconds=5):
        flask("tokens", "prune")
        assert rows(select(func.count(Device.digest))) == [0]


def test_ten_devices_of_an_account_count_and_the_one_used_least_recently_goes(ada, app, rows):
    second = stranger(app, ip="10.0.1.1")
    for n in range(12):
        with later(minutes=n):
            stranger(app, ip=f"10.0.2.{n}").login()
            if n == 0:
                second.login()
            ada.login()
    assert rows(select(func.count(Device.digest))) == [10]
    with later(days=8):  # no session is active, so no network is known
        fail(stranger(app))
        assert on_device(app, device_of(second)).try_login().status_code == 429
        assert on_device(app, device_of(ada)).try_login().status_code == 200


def set_password(ada, flask, mails):
    flask("users", "set-password", ada.email, "--password-stdin", stdin=NEW)


def reset(ada, flask, mails):
    ask(ada)
    confirm(ada, mails()[0].token)


@pytest.mark.parametrize("replace", [lambda ada, *_: change(ada), reset, set_password])
def test_a_device_is_forgotten_with_the_password(replace, ada, app, flask, mails, rows):
    cookie = device_of(ada)
    replace(ada, flask, mails)
    assert rows(select(Device.digest)) == []
    mails()
    thief = on_device(app, cookie)
    assert thief.try_login(password=NEW).status_code == 200
    assert [mail.subject for mail in mails()] == ["A new sign-in to your account"]
    assert opened(device_of(thief)) != opened(cookie)
    fail(stranger(app))
    assert on_device(app, cookie, ip="10.0.0.3").try_login(password=NEW).status_code == 429


def test_the_id_of_a_device_is_stored_nowhere_and_the_export_lists_devices(ada, rows):
    [device] = opened(device_of(ada)).values()
    assert device not in rows(select(Device.digest))
    export = ada.get("/api/user/export/")
    stored = {"created_at", "last_used_at", "remembered_until"}
    assert [set(one) for one in export.json["devices"]] == [stored]
    for secret in (device, *rows(select(Device.digest))):
        assert secret not in export.text


def test_a_device_is_itself_limited_and_nobody_else_by_it(ada, app):
    other = stranger(app)
    other.login()
    assert fail(ada) == FAILED
    answer = ada.try_login()
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert answer.headers["Retry-After"].isdigit()
    assert fail(stranger(app), 1) == [400]
    assert stranger(app).try_login().status_code == 200
    assert other.try_login().status_code == 200


def test_a_new_login_does_not_make_a_device_a_new_one(ada):
    first = opened(device_of(ada))
    assert fail(ada, 9) == FAILED[:9]
    for _ in range(3):
        ada.login()
    assert opened(device_of(ada)) == first
    assert fail(ada, 2) == [400, 429]


def test_two_devices_are_two(ada, app):
    other = stranger(app)
    other.login()
    assert opened(device_of(ada)) != opened(device_of(other))


def tampered(cookie):
    content, _, signature = cookie.rpartition(".")
    return f"{content}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


BAD = {
    "nothing": lambda cookie, user: "",
    "garbage": lambda cookie, user: "garbage",
    "dots": lambda cookie, user: "....",
    "4 KB of it": lambda cookie, user: "x" * 4000,
    "not ASCII": lambda cookie, user: "gerät",
    "unsigned": lambda cookie, user: cookie.rpartition(".")[0],
    "another signature": lambda cookie, user: tampered(cookie),
    "another content": lambda cookie, user: f"x{cookie}",
    "twice": lambda cookie, user: cookie + cookie,
    "the key of another secret": lambda cookie, user: signed({user: "x"}, secret="x" * 32),
    "the key of the tokens": lambda cookie, user: signed({user: "x"}, purpose="token HS256"),
    "SECRET_KEY itself": lambda cookie, user: URLSafeSerializer(SECRET_KEY).dumps({user: "x"}),
    "a device that did not sign in": lambda cookie, user: signed({user: "x"}),
    "another account": lambda cookie, user: signed({f"{user}0": "x"}),
    "no account": lambda cookie, user: signed({}),
    "a number": lambda cookie, user: signed(5),
    "a list": lambda cookie, user: signed([1, 2]),
    "a word": lambda cookie, user: signed("device"),
    "null": lambda cookie, user: signed(None),
}


@on_sqlite
@pytest.mark.parametrize("kind", BAD)
def test_a_cookie_that_is_not_ours_counts_as_none(kind, ada, app):
    bad = BAD[kind](device_of(ada), str(ada.user().json["id"]))
    caller = on_device(app, bad)
    assert fail(caller, 5) == FAILED[:5]
    assert caller.try_login().status_code == 200
    assert opened(device_of(caller)) != opened(device_of(ada))
    assert fail(stranger(app), 6) == [400] * 5 + [429]
    assert on_device(app, bad, ip="10.0.0.3").try_login().status_code == 429
    assert ada.try_login().status_code == 200


def test_an_access_token_is_no_device_cookie(ada, app):
    fail(stranger(app))
    assert on_device(app, ada.tokens.access).try_login().status_code == 429


def test_the_cookie_of_another_account_does_not_help(ada, bob, app):
    fail(stranger(app))
    assert on_device(app, device_of(bob)).try_login().status_code == 429
    assert on_device(app, device_of(ada)).try_login().status_code == 200


def test_a_stranger_with_an_account_of_his_own_gains_no_tries(ada, bob, app):
    own = on_device(app, device_of(bob))
    assert fail(own, 5) + fail(stranger(app), 6) == [*FAILED, 429]
    assert fail(own, 1) == [429]


def test_a_browser_remembers_five_accounts_the_latest(ada, bob, app):
    people = [stranger(app, f"user{n}@example.com", f"10.0.2.{n}") for n in range(4)]
    for person in people:
        assert person.register().status_code == 201
    cookie = device_of(ada)
    for person in (bob, *people):
        browser = on_device(app, cookie, person.email)
        browser.password = person.password
        browser.login()
        cookie = device_of(browser)
    ids = [str(person.user().json["id"]) for person in (bob, *people)]
    assert list(opened(cookie)) == ids
    fail(stranger(app))
    fail(stranger(app, bob.email))
    assert on_device(app, cookie).try_login().status_code == 429
    bobs = on_device(app, cookie, bob.email)
    assert bobs.try_login(password=bob.password).status_code == 200
    assert list(opened(device_of(bobs))) == [*ids[1:], ids[0]]


def test_a_device_of_a_deactivated_account_learns_nothing(ada, app):
    with app.app_context():
        administration.set_active(administration.find_user(ada.email), False)
    answer = ada.try_login()
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_credentials")
    assert cookies_of(answer) == []


def test_with_another_secret_key_every_device_is_new(ada, app_with, rows):
    app = app_with(TestingConfig, SECRET_KEY="another secret, as long as one has to be")
    fail(stranger(app))
    assert on_device(app, device_of(ada)).try_login().status_code == 429
    assert rows(select(func.count(Session.id))) == [1]
