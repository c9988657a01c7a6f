"""The mails of accounts: queued, sent, delayed and given up."""

import logging
import os
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from pycoder.accounts import administration
from pycoder.clock import now
from pycoder.mail import backend, worker
from pycoder.mail import queue as mail_queue
from pycoder.models.mail import OneTimeToken, OutgoingMail
from tests.support.callers import Caller
from tests.support.outbox import queue, send

FAULTS = ["refuses", "drops", 0.5]


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


@pytest.mark.parametrize("reply", FAULTS, ids=str)
def test_a_mail_server_that_fails_delays_a_mail(
    reply, ada, app, mails, mail_server, monkeypatch, waiting
):
    monkeypatch.setattr(app.extensions["mailman"], "timeout", 0.2)
    mail_server.scripted_replies = [reply]
    assert send(app) == (0, True)
    assert send(app) == (0, False)  # it is not due yet
    assert waiting() == 1
    with time_machine.travel(now() + timedelta(seconds=31), tick=False):
        del mail_server.mails[:]  # one that stalls may take the mail after we gave up
        assert send(app) == (1, False)
    assert len(mail_server.mails) == 1
    assert waiting() == 0


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
        assert worker._send(row) is None
    assert len(mail_server.mails) == 1  # that of the registration
    assert rows(select(OneTimeToken)) == []


def test_the_command_sends_and_says_how_many(ada, app, mails, mail_server):
    runner = app.test_cli_runner()
    mail_server.scripted_replies = ["refuses"]
    refused = runner.invoke(args=["mail", "send", "--json"])
    assert refused.exit_code == 1
    assert '{"sent": 0, "waiting": 1}' in refused.output
    queue(app, 2)
    assert runner.invoke(args=["mail", "send"]).output == "sent=2  waiting=1\n"


def test_a_file_takes_mails_in_place_of_a_server(app, ada, tmp_path, monkeypatch, waiting):
    monkeypatch.setitem(app.config, "MAIL_URL", f"file:{tmp_path}/mails")
    backend.init_app(app)
    assert send(app) == (1, False)
    monkeypatch.undo()
    backend.init_app(app)
    [name] = os.listdir(tmp_path / "mails")
    assert "#token=" in (tmp_path / "mails" / name).read_text()
    assert waiting() == 0
