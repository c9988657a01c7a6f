"""Login by a passkey: accounts that changed, counters, limits, transports, origins."""

import pytest
from sqlalchemy import func, select, update

from pycoder.accounts import administration
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.mfa import Passkey
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.user import User
from pycoder.passwords.hashing import NO_PASSWORD
from tests.support.second_factors import half, reset_password, second_step
from tests.support.soft_authenticator import SoftPasskey, add, assertion, challenge, log_in


@pytest.fixture
def passkey(ada, app):
    passkey, answer = add(ada, app)
    assert answer.status_code == 201
    return passkey


def post(caller, body, **fields):
    return caller.client.post("/api/login/passkey/", json={**body, **fields})


def refusal(answer):
    return answer.status_code, answer.json["code"]


INVALID, UNKNOWN = (400, "passkey_invalid"), (400, "passkey_unknown")


def as_operator(app, function, *args):
    with app.app_context():
        return function(administration.find_user("ada@example.com"), *args)


def test_the_options_are_alike_for_everybody_and_write_nothing(ada, bob, passkey, rows):
    pending = select(func.count(PendingAuthentication.digest))
    before = rows(pending)
    one, other = challenge(ada.client), challenge(bob.client)
    for options in (one, other):
        assert len(options["publicKey"].pop("challenge")) == 43
        assert options["publicKey"] == {
            "timeout": 300_000,
            "rpId": "localhost",
            "allowCredentials": [],
            "userVerification": "required",
        }
    assert one["ticket"] != other["ticket"]
    for _ in range(200):
        challenge(ada.client)
    assert rows(pending) == before
    assert log_in(ada, SoftPasskey()).status_code == 400
    assert rows(pending) == before


def test_a_deactivated_account_is_refused_until_it_is_activated(ada, app, passkey, rows):
    body = assertion(ada.client, passkey)
    as_operator(app, administration.set_active, False)
    assert refusal(post(ada, body)) == INVALID
    assert refusal(log_in(ada, passkey)) == INVALID
    reasons = rows(select(AuditEvent.reason).where(AuditEvent.event == "passkey.refused"))
    assert reasons == ["deactivated account"] * 2
    as_operator(app, administration.set_active, True)
    assert log_in(ada, passkey).status_code == 200


def test_a_deleted_account_takes_its_passkeys_along(ada, app, passkey, rows):
    body = assertion(ada.client, passkey)
    as_operator(app, administration.delete_user)
    assert rows(select(Passkey.id)) == []
    assert refusal(post(ada, body)) == UNKNOWN


def test_a_new_password_leaves_the_passkey_and_ends_the_half_login(ada, app, passkey):
    ticket = half(ada)
    as_operator(app, administration.set_password, "quite another pass phrase")
    step = second_step(ada, ticket, passkey=assertion(ada.client, passkey))
    assert refusal(step) == (400, "ticket_invalid")
    assert log_in(ada, passkey).status_code == 200


def test_an_account_without_a_password_signs_in_and_keeps_its_last_passkey(ada, app, passkey, rows):
    with app.app_context():
        db.session.execute(update(User).values(password_hash=NO_PASSWORD))
        db.session.commit()
    assert log_in(ada, passkey).status_code == 200
    body = {"passkey": assertion(ada.client, passkey)}
    proof = ada.call("POST", "/api/reauthenticate/", json=body).json["proof"]
    [only] = ada.get("/api/passkeys/").json
    path = f"/api/passkeys/{only['id']}/"
    answer = ada.call("DELETE", path, json={"proof": proof})
    assert refusal(answer) == (409, "last_credential")
    assert ada.user().status_code == 200
    _, answer = add(ada, app, proof=proof)
    assert answer.status_code == 201
    assert ada.call("DELETE", path, json={"proof": proof}).status_code == 204
    assert rows(select(func.count(Passkey.id))) == [1]


def test_an_account_without_a_password_gets_one_and_keeps_its_passkey(ada, app, passkey, mails):
    with app.app_context():
        db.session.execute(update(User).values(password_hash=NO_PASSWORD))
        db.session.commit()
    reset_password(ada, mails)
    answer = ada.try_login()
    assert refusal(answer) == (403, "second_factor_required")
    step = second_step(ada, answer.json["ticket"], passkey=assertion(ada.client, passkey))
    assert step.status_code == 200
    assert log_in(ada, passkey).status_code == 200
    body = {"passkey": assertion(ada.client, passkey)}
    proof = ada.call("POST", "/api/reauthenticate/", json=body).json["proof"]
    [only] = ada.get("/api/passkeys/").json  # not the last credential any more
    removed = ada.call("DELETE", f"/api/passkeys/{only['id']}/", json={"proof": proof})
    assert removed.status_code == 204
    assert ada.try_login().status_code == 200


@pytest.mark.parametrize(
    ("stored", "sent", "accepted"),
    [(0, 0, True), (0, 1, True), (7, 8, True), (7, 7, False), (7, 6, False), (7, 0, False)],
)
def test_the_counter_rises_or_there_is_none(ada, app, mails, rows, stored, sent, accepted):
    passkey = SoftPasskey()
    passkey.counter = stored
    assert add(ada, app, passkey)[1].status_code == 201
    mails()
    passkey.counter = sent
    answer = log_in(ada, passkey)
    counter, fell = rows(select(Passkey.sign_count)), [mail.subject for mail in mails()]
    theirs = select(AuditEvent.event).where(AuditEvent.event.like("passkey.%"))
    events = rows(theirs.order_by(AuditEvent.id))
    if accepted:
        assert answer.status_code == 200
        assert counter == [sent]
        assert "passkey.counter_fell" not in events
    else:
        assert refusal(answer) == INVALID
        assert counter == [stored]
        assert sorted(events[-2:]) == ["passkey.counter_fell", "passkey.refused"]
        assert fell == ["A passkey of your account may have been copied"]
        assert refusal(log_in(ada, passkey)) == INVALID
        assert mails() == []


@pytest.mark.parametrize("path", ["second step", "reauthenticate"])
def test_a_copied_passkey_is_found_wherever_it_is_used(ada, app, path, trail):
    passkey = SoftPasskey()
    passkey.counter = 7
    assert add(ada, app, passkey)[1].status_code == 201
    passkey.counter = 3
    factor = {"passkey": assertion(ada.client, passkey)}
    if path == "second step":
        answer = second_step(ada, half(ada), **factor)
    else:
        answer = ada.call("POST", "/api/reauthenticate/", json=factor)
    assert refusal(answer) == INVALID
    assert "passkey.counter_fell" in trail()


def test_failures_of_strangers_lock_nobody_out(ada, app, passkey):
    stranger = app.test_client()
    wrong = assertion(stranger, passkey, response={"signature": "AAAA"})
    for _ in range(30):
        answer = stranger.post("/api/login/passkey/", json=wrong)
        assert refusal(answer) == INVALID
    assert log_in(ada, passkey).status_code == 200
    assert second_step(ada, half(ada), passkey=assertion(ada.client, passkey)).status_code == 200


def test_attempts_count_for_the_network(ada, app, passkey):
    wrong = assertion(ada.client, passkey, response={"signature": "AAAA"})
    codes = [post(ada, wrong).json["code"] for _ in range(110)]
    assert set(codes) == {"passkey_invalid", "too_many_requests"}
    other = app.test_client()
    other.environ_base["REMOTE_ADDR"] = "192.0.2.77"
    answer = other.post("/api/login/passkey/", json=assertion(other, passkey))
    assert answer.status_code == 200


def test_in_cookie_mode_the_tokens_are_in_cookies(ada, passkey):
    body = assertion(ada.client, passkey)
    foreign = {"Origin": "https://evil.example"}
    path, json = "/api/login/passkey/", {**body, "transport": "cookie"}
    assert refusal(ada.client.post(path, json=json, headers=foreign)) == (403, "csrf_failed")
    answer = ada.client.post(path, json=json, headers={"Origin": "http://localhost:8000"})
    assert answer.status_code == 200
    assert "tokens" not in answer.json
    assert ada.client.get("/api/user/").status_code == 200


ORIGINS = {
    "https://auth.example.com": True,
    "https://app.example.com": True,
    "https://example.com": True,
    "https://www.example.com": False,
    "https://evilexample.com": False,
    "https://example.org": False,
    "https://auth.example.com:444": False,
    "http://auth.example.com": False,
    "null": False,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_only_listed_origins_under_the_relying_party_are_accepted(ada, app, setting, origin):
    setting("PASSKEY_RP_ID", "example.com")
    setting("PUBLIC_URL", "https://auth.example.com")
    setting("FRONTEND_URL", "https://example.com/shop")
    setting("CORS_ORIGINS", ["https://app.example.com", "https://example.org"])
    passkey = SoftPasskey()
    where = {"client": {"origin": "https://auth.example.com"}, "rp_id": "example.com"}
    assert add(ada, app, passkey, **where)[1].status_code == 201
    answer = log_in(ada, passkey, client={"origin": origin}, rp_id="example.com")
    assert answer.status_code == (200 if ORIGINS[origin] else 400), answer.json


def test_a_passkey_of_another_relying_party_is_refused_and_reported(
    ada, app, setting, passkey, flask
):
    assert "no browser offers" not in flask("doctor").output
    setting("PASSKEY_RP_ID", "example.com")
    setting("PUBLIC_URL", "https://example.com")
    where = {"client": {"origin": "https://example.com"}, "rp_id": "example.com"}
    assert refusal(log_in(ada, passkey, **where)) == INVALID
    report = flask("doctor")
    assert report.exit_code == 1
    assert "the passkeys of localhost any more, of which there are 1" in report.output
