"""Limits by network address, and the address that a proxy reports."""

from ipaddress import ip_network

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.user import User
from pycoder.passwords.hashing import hash_password
from tests.support.constants import PASSWORD
from tests.support.login_attempts import MINUTE, guess, guesses, visitor, wait_of
from tests.support.parameters import on_sqlite

# login.ip: tries from one address


def test_an_address_counts_tries_and_a_success_does_not_clear_it(ada, app_with, clock):
    app = app_with(RATE_LIMITS="login.ip=5/minute")
    for _ in range(2):
        assert guesses(2, app, "nobody@example.com") == [400, 400]
        assert [visitor(app).try_login().status_code for _ in range(3)] == [200] * 3
        assert wait_of(visitor(app).try_login()) == MINUTE
        assert visitor(app, ip="10.0.0.1").try_login().status_code == 200
        clock.shift(MINUTE)


def test_an_account_has_no_more_proofs_than_an_address_has_logins_in_however_many_sessions(
    ada, app_with, clock, trail
):
    app = app_with(RATE_LIMITS="login.ip=3/minute")

    def prove(n):
        caller = visitor(app, ip=f"10.0.0.{n}")
        caller.login()
        body = {"email": f"ada{n}@example.org", "password": PASSWORD}
        return caller.call("POST", "/api/email/change/", json=body)

    assert [prove(n).status_code for n in range(3)] == [202] * 3
    assert wait_of(prove(3)) == MINUTE
    assert trail()[-1] == Event.LIMIT_REACHED
    assert visitor(app, ip="10.0.0.9").try_login().status_code == 200


@on_sqlite
def test_one_password_sprayed_over_many_accounts_is_stopped_at_its_address(app, clock, rows):
    emails = [f"user{n}@example.com" for n in range(200)]
    with app.app_context():
        hashed = hash_password(PASSWORD)
        for email in emails:
            keys = {"email_key": email, "username": email, "username_key": email}
            db.session.add(User(email=email, password_hash=hashed, **keys))
        db.session.commit()
    answers = [guess(app, email) for email in emails]
    assert [answer.status_code for answer in answers] == [400] * 100 + [429] * 100
    assert wait_of(answers[-1]) == 5 * MINUTE
    refused = select(func.count(AuditEvent.id)).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(refused) == [100]


@on_sqlite
def test_many_addresses_do_not_get_around_the_limit_of_an_account(ada, app_with, rows):
    app = app_with(TRUSTED_PROXIES="1")
    addresses = [f"203.0.113.{n}" for n in range(200)]
    answers = [guess(app, x_forwarded_for=address).status_code for address in addresses]
    assert answers == [400] * 10 + [429] * 190
    tried = select(AuditEvent.ip).where(AuditEvent.event == Event.LOGIN_REFUSED)
    assert rows(tried) == addresses[:10]


@on_sqlite
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_forwarded_for", "203.0.113.{}"),
        ("x_real_ip", "203.0.113.{}"),
        ("forwarded", "for=203.0.113.{}"),
        ("x_client_ip", "203.0.113.{}"),
        ("true_client_ip", "203.0.113.{}"),
        ("cf_connecting_ip", "203.0.113.{}"),
        ("x_forwarded_host", "{}.example.com"),
    ],
)
def test_a_direct_client_is_counted_as_its_peer_whatever_it_sends(header, value, app_with, rows):
    app = app_with(RATE_LIMITS="login.ip=3/minute")
    answers = [guess(app, f"no{n}@example.com", **{header: value.format(n)}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 3 + [429] * 3
    assert set(rows(select(AuditEvent.ip))) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "believed"),
    [
        pytest.param(0, "127.0.0.1", "203.0.113.7", "127.0.0.1", id="no proxy to believe"),
        pytest.param(1, "10.0.0.1", "203.0.113.7", "203.0.113.7", id="one proxy"),
        pytest.param(1, "10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7", id="the last of two"),
        pytest.param(
            2, "10.0.0.1", "1.1.1.1,203.0.113.7 ,10.0.0.2", "203.0.113.7", id="second from right"
        ),
        pytest.param(2, "10.0.0.1", "203.0.113.7", "10.0.0.1", id="fewer entries than proxies"),
        pytest.param(1, "10.0.0.1", "", "10.0.0.1", id="nothing forwarded"),
        pytest.param(1, "10.0.0.1", "unknown", "10.0.0.1", id="no address"),
        pytest.param(1, "10.0.0.1", "203.0.113.7, ", "10.0.0.1", id="an empty entry"),
        pytest.param(1, "10.0.0.1", "2001:DB8:0::7", "2001:db8::7", id="IPv6 in short"),
        pytest.param(1, "::1", "203.0.113.7", "203.0.113.7", id="an IPv6 proxy"),
        pytest.param(1, "8.8.8.8", "203.0.113.7", "8.8.8.8", id="a peer on the open internet"),
        pytest.param(
            1, "2001:4860:4860::8888", "203.0.113.7", "2001:4860:4860::8888", id="so in IPv6"
        ),
        pytest.param(1, "::ffff:8.8.8.8", "203.0.113.7", "::ffff:8.8.8.8", id="so IPv4-mapped"),
        pytest.param(1, "10.0.0.1", f"fe80::1%{'x' * 60}", "fe80::1", id="an endless zone"),
        pytest.param(1, "10.0.0.1", "203.0.113.7:51123", "203.0.113.7", id="with a port"),
        pytest.param(1, "10.0.0.1", "[2001:db8::7]:443", "2001:db8::7", id="IPv6 with a port"),
        pytest.param(1, "10.0.0.1", '"[2001:db8::7]:443"', "2001:db8::7", id="and quoted"),
        pytest.param(1, "10.0.0.1", "[2001:db8::7]", "2001:db8::7", id="IPv6 in brackets"),
        pytest.param(
            2, "10.0.0.1", "203.0.113.7:1, 10.0.0.2:443", "203.0.113.7", id="ports at two proxies"
        ),
        pytest.param(1, "10.0.0.1", "203.0.113.7:1:2", "10.0.0.1", id="two ports"),
        pytest.param(1, "9.9.9.9", "203.0.113.7", "203.0.113.7", id="a proxy that is listed"),
        pytest.param(1, "::ffff:9.9.9.9", "203.0.113.7", "203.0.113.7", id="so IPv4-mapped"),
        pytest.param(0, "9.9.9.9", "203.0.113.7", "9.9.9.9", id="listed, but no proxy to believe"),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_there_are_proxies(
    proxies, peer, forwarded, believed, app, setting, rows
):
    setting("TRUSTED_PROXIES", proxies)
    setting("PROXY_NETWORKS", [ip_network("9.9.9.0/24")])
    assert guess(app, ip=peer, x_forwarded_for=forwarded).status_code == 400
    assert rows(select(AuditEvent.ip)) == [believed]


@on_sqlite
@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "reason", "advice"),
    [
        ("0", "10.0.0.1", "203.0.113.7", "no_proxies", "TRUSTED_PROXIES is 0; set it"),
        ("1", "8.8.8.8", "203.0.113.7", "public_peer", "in PROXY_NETWORKS"),
        ("2", "10.0.0.1", "203.0.113.7", "too_few_entries", "set the number of proxies"),
        ("1", "10.0.0.1", "unknown", "no_address", "write the address of its client"),
    ],
)
def test_a_header_that_is_not_believed_is_counted_and_logged_once(
    proxies, peer, forwarded, reason, advice, app_with, caplog
):
    app = app_with(TRUSTED_PROXIES=proxies)

    def ignored():
        line = f'pycoder_forwarded_ignored_total{{reason="{reason}"}} '
        _, _, number = app.test_client().get("/metrics").text.partition(line)
        return float(number.partition("\n")[0] or 0)

    before = ignored()
    for _ in range(3):
        guess(app, ip=peer, x_forwarded_for=forwarded)
        guess(app, ip=peer)
    assert ignored() == before + 3
    [warning] = [text for text in caplog.messages if "X-Forwarded-For" in text]
    assert advice in warning
    assert forwarded not in warning


@on_sqlite
@pytest.mark.parametrize(
    ("one", "other", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "same"),
        ("192.0.2.1", "192.0.2.2", "another"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "same"),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", "another"),
        ("::ffff:192.0.2.1", "192.0.2.1", "same"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "another"),
    ],
)
def test_ipv6_counts_by_its_64_bits_and_mapped_ipv4_as_ipv4(one, other, network, app_with):
    app = app_with(RATE_LIMITS="login.ip=1/minute;register.ip=1/minute")
    assert guess(app, ip=one).status_code == 400
    assert guess(app, ip=other).status_code == {"same": 429, "another": 400}[network]
    assert visitor(app, "one@example.com", one).register().status_code == 201
    answer = visitor(app, "other@example.com", other).register()
    assert answer.status_code == {"same": 429, "another": 201}[network]
