"""Real servers that send mails."""

import pytest

from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import PASSWORD
from tests.support.servers import Server

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
    with server.start() and ApiConnection(server) as api:
        [notice] = mail_server.wait_for(1)
        assert notice.subject == "Your password was changed"
        assert api.call("POST", "/api/password/reset/", {"email": "ada@example.com"}).status == 202
        link = mail_server.wait_for(2)[1]
        body = {"token": link.token, "new_password": "a password nobody has yet"}
        mail_server.scripted_replies = [1]
        assert api.call("POST", "/api/password/reset/confirm/", body).status == 204
        while not mail_server.talking:
            assert server.process.poll() is None
    assert server.stop() == 0
    assert len(mail_server.mails) == 3
    waiting = flask_command(tmp_path, server.env, "mail", "send", "--json")
    assert waiting.stdout == '{"sent": 0, "waiting": 0}\n'
    for secret in (link.token, "ada@example.com"):
        assert secret not in server.log.read_text()
