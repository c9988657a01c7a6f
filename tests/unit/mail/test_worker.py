"""The mail worker: each mail is sent once, whatever the mail server does."""

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_address

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import event, select

from pycoder.clock import now
from pycoder.db.leases import Lease
from pycoder.extensions import db
from pycoder.mail import backend, worker
from pycoder.mail import queue as mail_queue
from pycoder.mail.backend import SMTPBackend
from pycoder.mail.queue import Template
from pycoder.mail.worker import LEASE_DURATION
from pycoder.models.audit import AuditEvent
from tests.support.callers import Caller
from tests.support.mail_server import MailServer
from tests.support.outbox import queue, send


def test_a_mail_of_a_transaction_that_is_rolled_back_is_never_sent(app, mails, waiting):
    with app.app_context():
        mail_queue.enqueue(Template.PASSWORD_CHANGED, "ada@example.com")
        db.session.rollback()
    assert mails() == []
    assert waiting() == 0


def test_a_mail_server_that_was_down_gets_all_of_them_once(app, mails, mail_server, waiting):
    queue(app, 5)
    mail_server.stop()
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(4):
            assert send(app) == (0, True)  # and then it is left alone for a moment
        assert waiting() == 5
        mail_server.start()
        clock.shift(timedelta(minutes=2))
        assert send(app) == (5, False)
    assert sorted(one.to for one in mail_server.mails) == [f"user{n}@example.com" for n in range(5)]


@pytest.mark.untraced
@pytest.mark.parametrize(("count", "reply"), [(400, "550 No such user"), (5, "450 Greylisted")])
def test_refused_addresses_hold_up_no_other(count, reply, app, mails, mail_server, clock):
    mail_server.refused = {f"user{n}@example.com": reply for n in range(count)}
    queue(app, count + 1)
    assert send(app) == (1, True)
    assert [mail.to for mail in mail_server.mails] == [f"user{count}@example.com"]
    clock.shift(timedelta(hours=1))  # all are due again
    with app.app_context():
        mail_queue.enqueue(Template.VERIFY_EMAIL, "late@example.com")
        db.session.commit()
        assert worker._claim().to == "late@example.com"


@pytest.mark.parametrize("reply", ["drops", 0.5], ids=str)
def test_a_mail_server_that_fails_is_left_alone(reply, app, mails, mail_server, monkeypatch):
    monkeypatch.setattr(app.extensions["mailman"], "timeout", 0.2)
    mail_server.scripted_replies = [reply]
    queue(app, 2)
    assert send(app) == (0, True)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL", "550 We do not send for you"),
        ("MAIL", "451 Not now"),
        ("user0@example.com", "421 Too many errors"),
    ],
)
def test_a_mail_server_that_serves_nobody_is_left_alone(
    command, reply, app, mails, mail_server, waiting
):
    mail_server.refused = {command: reply}
    queue(app, 2)
    assert send(app) == (0, True)
    assert waiting() == 2


def test_the_log_names_the_mail_server_and_the_reason(app, mails, mail_server, caplog):
    queue(app, 1)
    mail_server.stop()
    assert send(app) == (0, True)
    assert "ConnectionRefusedError at 127.0.0.1: [Errno" in caplog.messages[-1]


def test_the_log_quotes_no_reply_of_the_mail_server(app, mails, mail_server, caplog):
    queue(app, 1)
    mail_server.refused = {"MAIL": "550 user0@example.com of Ada"}
    assert send(app) == (0, True)
    assert caplog.messages[-1].endswith(": SMTPSenderRefused 550 at 127.0.0.1")


def test_a_permanent_refusal_is_given_up_after_three_attempts(
    app, mails, mail_server, clock, waiting, rows, caplog
):
    """An attempt that the mail server failed is none of the three."""
    queue(app, 1)
    mail_server.scripted_replies = ["drops", "drops", "refuses"]
    for _ in range(3):
        assert send(app) == (0, True)
        clock.shift(timedelta(minutes=2))
    mail_server.refused = {"user0@example.com": "550 No such user"}
    for pause in (5, 60, 0):
        assert waiting() == 1
        assert send(app) == (0, True)
        clock.shift(timedelta(minutes=pause))
    assert waiting() == 0
    assert "given up after 6 attempts: MailRefused 550" in caplog.messages[-1]
    assert "@" not in caplog.text
    [event] = rows(select(AuditEvent))
    assert (event.event, event.reason) == ("mail.given_up", "password_changed")


def test_a_mail_that_cannot_be_written_holds_up_no_other(app, mails, mail_server):
    with app.app_context():
        for address in ("no address at all", "fine@example.com"):
            mail_queue.enqueue(Template.PASSWORD_CHANGED, address)
        db.session.commit()
    assert send(app) == (1, True)


def test_resets_and_notices_go_before_verifications(ada, bob, app, mails, mail_server):
    Caller(app.test_client()).login()
    ada.client.post("/api/password/reset/", json={"email": ada.email})
    assert [mail.subject for mail in mails()] == [
        "Choose a new password",
        "A new sign-in to your account",
        "Please confirm your e-mail address",
        "Please confirm your e-mail address",
    ]


def test_of_many_processes_one_sends_at_a_time_and_each_mail_once(app, mails, mail_server, waiting):
    queue(app, 12)
    mail_server.scripted_replies = [0.02] * 12
    while waiting():
        with ThreadPoolExecutor(4) as pool:
            rounds = list(pool.map(send, [app] * 4))
        assert not any(found.failed for found in rounds)
    assert mail_server.most_at_once == 1
    assert sorted(one.to for one in mail_server.mails) == sorted(
        f"user{n}@example.com" for n in range(12)
    )


def test_a_mail_is_sent_once_also_by_processes_whose_turns_overlap(
    app, mails, mail_server, monkeypatch, waiting
):
    monkeypatch.setattr(worker, "LEASE_DURATION", timedelta(0))
    queue(app, 12)
    mail_server.scripted_replies = [0.2] * 12  # long enough to overlap on a busy machine
    while waiting():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, [app] * 4))
    assert mail_server.most_at_once > 1
    assert len({one.to for one in mail_server.mails}) == len(mail_server.mails) == 12


def test_the_turn_of_a_process_that_died_is_over_after_a_minute(app, mails, mail_server, clock):
    queue(app, 1)
    with app.app_context():
        db.session.add(Lease(name="mail", holder="dead", expires_at=now() + LEASE_DURATION))
        db.session.commit()
    assert send(app) == (0, False)
    clock.shift(timedelta(minutes=1))
    assert send(app) == (1, False)


class Killed(BaseException):
    """What no handler catches, as no handler catches a kill."""


@pytest.mark.parametrize("moment", ["before it is handed over", "after it is handed over"])
def test_a_process_that_dies_with_a_mail_in_its_hands_loses_none(
    moment, app, mails, mail_server, clock, monkeypatch, waiting
):
    """After the hand-over, nobody knows any more that the server has it: that one comes twice."""
    queue(app, 1)

    def die(*args):
        raise Killed

    with monkeypatch.context() as patch:
        if moment.startswith("before"):
            patch.setattr(SMTPBackend, "send_messages", die)
        else:
            patch.setattr(worker, "_delete", die)
        with pytest.raises(Killed):
            send(app)
    assert waiting() == 1
    clock.shift(timedelta(minutes=9))
    assert send(app) == (0, False)  # it may still be in somebody's hands
    clock.shift(timedelta(minutes=2))
    assert send(app) == (1, False)
    assert len(mail_server.mails) == (1 if moment.startswith("before") else 2)


def test_a_server_that_takes_a_mail_and_drops_the_connection_is_asked_again(
    app, mails, mail_server, waiting
):
    """It never said that it took it: the one unavoidable case of a mail that comes twice."""
    queue(app, 1)
    mail_server.scripted_replies = ["takes it and drops"]
    assert send(app) == (0, True)
    assert waiting() == 1


def test_without_mails_the_sender_writes_nothing(app):
    statements = []

    def note(connection, cursor, statement, *args):
        statements.append(statement.split()[0])

    with app.app_context():
        engine = db.engines["autocommit"]
        event.listen(engine, "before_cursor_execute", note)
        worker.send_due()
        event.remove(engine, "before_cursor_execute", note)
    assert statements == ["SELECT"]


def test_the_thread_sends_what_is_committed_and_ends_when_told(app, mails, mail_server):
    stop = threading.Event()
    thread = threading.Thread(target=worker._run, args=(app, stop))
    thread.start()
    try:
        queue(app, 2)
        assert len(mail_server.wait_for(2)) == 2
    finally:
        worker._stop(thread, stop)
    assert not thread.is_alive()


def test_the_thread_survives_a_fault(app, mails, mail_server, monkeypatch, caplog):
    stop = threading.Event()
    faults = iter([OSError("disk full")])
    real = worker.send_due

    def send_due(stop):
        for fault in faults:
            mail_queue.mail_queued.set()  # look again at once
            raise fault
        return real(stop)

    monkeypatch.setattr(worker, "send_due", send_due)
    queue(app, 1)
    thread = threading.Thread(target=worker._run, args=(app, stop))
    thread.start()
    mail_server.wait_for(1)
    worker._stop(thread, stop)
    assert "sending mails failed" in caplog.text


def test_before_the_migration_the_thread_logs_one_line(new_app, new_database, monkeypatch, caplog):
    stop, app = threading.Event(), new_app(DATABASE_URL=new_database())
    monkeypatch.setattr(mail_queue.mail_queued, "wait", lambda _: stop.set())
    worker._run(app, stop)
    (record,) = caplog.records
    assert record.getMessage().endswith("run flask db upgrade")
    assert record.exc_info is None


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody has vouched for, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a mail server")])
    address = x509.IPAddress(ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *plain))
    return path


def test_starttls_is_insisted_on_and_the_certificate_verified(
    app, mails, mail_server, certificate, monkeypatch, waiting
):
    queue(app, 1)
    state = app.extensions["mailman"]
    monkeypatch.setattr(state, "use_tls", True)
    assert send(app) == (0, True)  # a server without TLS gets no mail in the clear
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with MailServer(tls) as server, time_machine.travel(now(), tick=False) as clock:
        monkeypatch.setattr(state, "port", server.port)
        clock.shift(timedelta(seconds=31))
        assert send(app) == (0, True)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        clock.shift(timedelta(seconds=61))
        assert send(app) == (1, False)
        assert len(server.mails) == 1
    assert mail_server.mails == []


def test_with_smtps_the_first_byte_is_encrypted_and_the_certificate_verified(
    app, mails, certificate, monkeypatch, waiting
):
    queue(app, 1)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with (
        MailServer(ssl_context=tls) as server,
        monkeypatch.context() as patch,
        time_machine.travel(now(), tick=False) as clock,
    ):
        patch.setitem(app.config, "MAIL_URL", server.url.replace("smtp:", "smtps:"))
        backend.init_app(app)
        assert send(app) == (0, True)
        patch.setenv("SSL_CERT_FILE", str(certificate))
        clock.shift(timedelta(seconds=31))
        assert send(app) == (1, False)
        assert len(server.mails) == 1
