"""The outbox: what is in it is sent, once, whatever the mail server does."""

import logging
import os
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
from sqlalchemy import event, func, select

from config import ConfigError, ProductionConfig, TestingConfig
from pycoder import create_app
from pycoder.accounts import administration
from pycoder.clock import now
from pycoder.db.leases import Lease
from pycoder.extensions import db
from pycoder.mail import backend, worker
from pycoder.mail import queue as mail_queue
from pycoder.mail.backend import SMTPBackend
from pycoder.mail.queue import Template
from pycoder.mail.worker import LEASE_DURATION
from pycoder.models.mail import OneTimeToken, OutgoingMail
from tests.callers import (
    PASSWORD,
    SECRET_KEY,
    Caller,
    Line,
    MailServer,
    Server,
    flask_command,
)

FAULTS = ["refuses", "drops", 0.5]


@pytest.fixture
def clock():
    with time_machine.travel(now(), tick=False) as stopped:
        yield stopped


@pytest.fixture
def waiting(rows):
    """Return a function that counts the mails in the outbox."""
    return lambda: rows(select(func.count(OutgoingMail.id)))[0]


def send(app):
    with app.app_context():
        return worker.send_due()


def queue(app, count):
    with app.app_context():
        for n in range(count):
            mail_queue.enqueue(Template.PASSWORD_CHANGED, f"user{n}@example.com")
        db.session.commit()


def test_a_mail_of_a_transaction_that_is_rolled_back_is_never_sent(app, mails, waiting):
    with app.app_context():
        mail_queue.enqueue(Template.PASSWORD_CHANGED, "ada@example.com")
        db.session.rollback()
    assert mails() == []
    assert waiting() == 0


def test_a_commit_with_a_mail_wakes_the_sender(app, ada):
    mail_queue.mail_queued.clear()
    ada.user()
    ada.login()
    assert not mail_queue.mail_queued.is_set()
    Caller(app.test_client()).login()
    assert mail_queue.mail_queued.is_set()


def test_a_mail_has_two_texts_and_says_that_a_machine_wrote_it(ada, mails):
    [one] = mails()
    assert one.headers.get_content_type() == "multipart/alternative"
    assert one.headers["From"] == "PyCoder <no-reply@localhost>"
    assert one.headers["To"] == "ada@example.com"
    assert one.headers["Auto-Submitted"] == "auto-generated"
    assert one.headers.get_all("Bcc") is one.headers.get_all("Cc") is None
    assert 'name="color-scheme" content="light dark"' in one.html
    assert "<script" not in one.html
    assert "<img" not in one.html  # nothing is loaded, so nobody learns that it was read


@pytest.mark.parametrize("mood", FAULTS, ids=str)
def test_a_mail_server_that_fails_delays_a_mail(
    mood, ada, app, mails, mail_server, monkeypatch, waiting
):
    monkeypatch.setattr(app.extensions["mailman"], "timeout", 0.2)
    mail_server.moods = [mood]
    assert send(app) == (0, True)
    assert send(app) == (0, False)  # it is not due yet
    assert waiting() == 1
    with time_machine.travel(now() + timedelta(seconds=31), tick=False):
        del mail_server.mails[:]  # one that stalls may take the mail after we gave up
        assert send(app) == (1, False)
    assert len(mail_server.mails) == 1
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


def test_one_mail_that_is_refused_holds_up_no_other(app, mails, mail_server):
    queue(app, 3)
    mail_server.moods = ["refuses"]
    assert send(app) == (0, True)
    assert send(app) == (2, False)


def test_a_mail_is_given_up_after_a_day_with_an_entry_in_the_log(
    ada, app, mails, mail_server, clock, caplog, waiting, rows
):
    mail_server.stop()
    pauses, began = [], now()
    while waiting():
        assert send(app) == (0, True)
        for due_at in rows(select(OutgoingMail.due_at)):
            pauses.append((due_at - now()).total_seconds())
            clock.move_to(due_at)
    assert pauses[:7] == [30, 60, 120, 240, 480, 900, 900]
    assert timedelta(days=1) <= now() - began < timedelta(days=1, minutes=15)
    last = caplog.records[-1]
    assert last.levelno == logging.ERROR
    assert "verify_email" in last.message
    assert "given up" in last.message
    assert "@" not in caplog.text


def test_of_many_processes_one_sends_at_a_time_and_each_mail_once(app, mails, mail_server, waiting):
    queue(app, 12)
    mail_server.moods = [0.02] * 12
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
    mail_server.moods = [0.05] * 12
    while waiting():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, [app] * 4))
    assert mail_server.most_at_once > 1
    assert len({one.to for one in mail_server.mails}) == len(mail_server.mails) == 12


def test_a_link_that_is_taken_back_in_the_hands_of_the_sender_is_not_made(
    ada, app, mails, mail_server, rows
):
    mails()
    ada.client.post("/api/password/reset/", json={"email": ada.email})
    with app.app_context():
        row = worker._claim()
        administration.set_password(
            administration.find_user(ada.email), "a password nobody has yet"
        )
        assert worker._send(row)
    assert len(mail_server.mails) == 1  # that of the registration
    assert rows(select(OneTimeToken)) == []


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
    mail_server.moods = ["takes it and drops"]
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


def test_the_command_sends_and_says_how_many(ada, app, mails, mail_server):
    runner = app.test_cli_runner()
    mail_server.moods = ["refuses"]
    refused = runner.invoke(args=["mail", "send", "--json"])
    assert refused.exit_code == 1
    assert '{"sent": 0, "waiting": 1}' in refused.output
    queue(app, 2)
    assert runner.invoke(args=["mail", "send"]).output == "sent=2  waiting=1\n"


# --- MAIL_URL


def options(tmp_path, url, **settings):
    """Return what Flask-Mailman is told by a ``MAIL_URL``."""
    environ = {"SECRET_KEY": SECRET_KEY, "MAIL_URL": url} | settings
    return create_app(TestingConfig(environ, tmp_path)).extensions["mailman"]


def test_a_mail_url_names_server_credentials_tls_and_sender(tmp_path):
    url = "smtp://us%40er:pa%3Ass@mail.pycoder.dev:587?tls=1&from=id@pycoder.dev"
    state = options(tmp_path, url)
    assert (state.server, state.port) == ("mail.pycoder.dev", 587)
    assert (state.username, state.password) == ("us@er", "pa:ss")
    assert (state.use_tls, state.use_ssl) == (True, False)
    assert state.default_sender == ("PyCoder", "id@pycoder.dev")
    implicit = options(tmp_path, "smtp://mail.pycoder.dev:465?tls=1")
    assert (implicit.use_tls, implicit.use_ssl) == (False, True)
    plain = options(tmp_path, "smtp://mail", PUBLIC_URL="https://id.pycoder.dev:8443/auth")
    assert (plain.port, plain.use_tls, plain.username) == (25, False, "")
    assert plain.default_sender == ("PyCoder", "no-reply@id.pycoder.dev")


@pytest.mark.parametrize(
    "url",
    [
        "smtp://", "smtp://host:0", "smtp://host:x", "smtp://host?tls=yes", "smtp://host?ssl=1",
        "smtp://host?from=nobody", "smtp://host?from=a@b.co%0ABcc:x@b.co", "file:", "file:/",
        "console:x", "smtps://host", "http://mail",
    ],
)  # fmt: skip
def test_a_mail_url_that_is_none_is_refused(url, tmp_path):
    with pytest.raises(ConfigError, match="MAIL_URL"):
        options(tmp_path, url)


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


def test_a_file_takes_mails_in_place_of_a_server(app, ada, tmp_path, monkeypatch, waiting):
    monkeypatch.setitem(app.config, "MAIL_URL", f"file:{tmp_path}/mails")
    backend.init_app(app)
    assert send(app) == (1, False)
    monkeypatch.undo()
    backend.init_app(app)
    [name] = os.listdir(tmp_path / "mails")
    assert "#token=" in (tmp_path / "mails" / name).read_text()
    assert waiting() == 0


def test_in_production_no_link_is_written_to_the_log(app, ada, new_app, capsys, waiting):
    """Who reads the log could follow it. Without a mail server, the mail waits for one."""
    settings = {"DATABASE_URL": app.config["DATABASE_URL"], "PUBLIC_URL": "https://id.pycoder.dev"}
    production = new_app(ProductionConfig, **settings)
    assert send(production) == (0, True)
    assert "token" not in capsys.readouterr().out
    assert waiting() == 1
    with time_machine.travel(now() + timedelta(minutes=1), tick=False):
        assert send(app) == (1, False)
    assert "#token=" in capsys.readouterr().out


# --- real servers, each with another database


@pytest.mark.untraced
def test_a_server_sends_what_waits_and_what_comes_and_ends_with_the_last_mail(
    database, new_database, tmp_path, mail_server
):
    kind = {"sqlite": "granian", "postgresql": "gunicorn"}[database]
    server = Server(tmp_path, new_database(), kind=kind, MAIL_URL=mail_server.url).migrate()
    for words in (["create", "ada@example.com"], ["set-password", "ada@example.com"]):
        done = flask_command(
            tmp_path, server.env, "users", *words, "--password-stdin", input=f"{PASSWORD}\n"
        )
        assert done.returncode == 0, done.stderr
    assert mail_server.mails == []  # a command leaves it to the server
    with server.start() and Line(server) as line:
        [notice] = mail_server.wait_for(1)
        assert notice.subject == "Your password was changed"
        assert line.call("POST", "/api/password/reset/", {"email": "ada@example.com"}).status == 202
        link = mail_server.wait_for(2)[1]
        body = {"token": link.token, "new_password": "a password nobody has yet"}
        mail_server.moods = [2]
        assert line.call("POST", "/api/password/reset/confirm/", body).status == 204
        while not mail_server.talking:
            assert server.process.poll() is None
    assert server.stop() == 0
    assert len(mail_server.mails) == 3
    waiting = flask_command(tmp_path, server.env, "mail", "send", "--json")
    assert waiting.stdout == '{"sent": 0, "waiting": 0}\n'
    for secret in (link.token, "ada@example.com"):
        assert secret not in server.log.read_text()
