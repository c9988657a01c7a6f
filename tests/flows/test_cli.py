"""The commands for users, clients and maintenance."""

import json
import re

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.models.oauth_client import OAuthClient
from pycoder.models.user import User
from tests.support.callers import Caller
from tests.support.clocks import later
from tests.support.constants import PASSWORD


def test_a_created_user_can_sign_in(flask, anyone, trail):
    done = flask("users", "create", "ada@example.com", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.exit_code == 0
    assert "email=ada@example.com" in done.output
    assert PASSWORD not in done.output
    assert anyone.try_login().status_code == 200
    assert trail()[0] == Event.USER_CREATED


def test_a_password_is_asked_for_twice_and_not_shown(flask, anyone):
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    done = flask("users", "create", "ada@example.com", "--username", "ada", stdin=typed)
    assert done.exit_code == 0
    assert PASSWORD not in done.output
    assert anyone.try_login().status_code == 200


def test_a_password_is_never_an_argument(flask):
    assert flask("users", "create", "ada@example.com", "--password", PASSWORD).exit_code == 2


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("create", "ada@example.com", "--password-stdin"), PASSWORD, "exists already"),
        (("create", "nonsense", "--password-stdin"), PASSWORD, "not a valid e-mail"),
        (("create", "x@example.com", "--password-stdin"), "short", "at least 8"),
        (
            ("create", "x@example.com", "--first-name", "é" * 151, "--password-stdin"),
            PASSWORD,
            "first_name: Use at most 150 characters",
        ),
        (
            ("create", "x@example.com", "--last-name", "a\nb", "--password-stdin"),
            PASSWORD,
            "last_name: Use at most 150 characters",
        ),
        (
            ("create", "x@example.com", "--last-name", "\udcff", "--password-stdin"),
            PASSWORD,
            "last_name: Use at most 150 characters",
        ),
        (("set-password", "ada", "--password-stdin"), "short", "at least 8"),
        (("show", "nobody"), None, "no such account"),
        (("deactivate", "999"), None, "no such account"),
    ],
)
def test_an_error_is_one_line_and_exit_1(ada, flask, words, stdin, said):
    done = flask("users", *words, stdin=stdin)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_users_are_listed_and_shown_for_people_and_machines(ada, bob, flask):
    assert len(flask("users", "list").output.splitlines()) == 2
    listed = [json.loads(line) for line in flask("users", "list", "--json").output.splitlines()]
    assert [user["email"] for user in listed] == ["ada@example.com", "bob@example.com"]
    assert [user["second_factor"] for user in listed] == [False, False]
    for who in ("bob", "BOB@example.com", str(listed[1]["id"])):
        assert json.loads(flask("users", "show", who, "--json").output) == listed[1]


def test_a_number_is_an_id_and_never_a_name(ada, bob, flask):
    first_id = json.loads(flask("users", "show", "ada", "--json").output)["id"]
    name = f"00{first_id}"
    for refused in (
        Caller(bob.client, "carol@example.com").register(username=name),
        bob.call("PATCH", "/api/user/", json={"username": name}),
    ):
        assert list(refused.json["errors"]) == ["username"]
    words = ("create", "carol@example.com", "--username", name, "--password-stdin")
    assert "username: " in flask("users", *words, stdin=PASSWORD).stderr
    shown = json.loads(flask("users", "show", name, "--json").output)
    assert shown["username"] == "ada"


def test_no_value_can_be_taken_for_another_field_or_drive_the_terminal(app, flask):
    eve = Caller(app.test_client(), "éve@example.com")
    eve.client.environ_base["HTTP_USER_AGENT"] = 'x  event=password.set  "user_id=1\\ \x9b2J \u202e'
    assert eve.register(first_name="Eve  id=7", last_name="李", username="eve").status_code == 201
    listed = flask("users", "list").output
    for field in ('first_name="Eve  id=7"', 'last_name="李"', 'email="éve@example.com"'):
        assert f"  {field}  " in listed
    assert "  username=eve  " in listed
    trail = flask("audit", "tail").output
    [line] = trail.splitlines()
    assert line.isprintable()
    fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?:  |$)', line))
    assert fields["event"] == "user.registered"
    assert "  event=password.set" in json.loads(fields["user_agent"])


def test_a_deactivated_user_is_out_at_once_and_can_come_back(ada, flask, trail):
    assert flask("users", "deactivate", "ada").exit_code == 0
    assert ada.user().json["code"] == "token_revoked"
    assert ada.try_login().json["code"] == "invalid_credentials"
    assert flask("users", "activate", "ada").exit_code == 0
    assert ada.user().json["code"] == "token_revoked"
    assert ada.try_login().status_code == 200
    assert {Event.USER_DEACTIVATED, Event.USER_ACTIVATED} <= set(trail())


def test_a_set_password_ends_all_sessions(ada, flask, trail):
    done = flask("users", "set-password", "ada", "--password-stdin", stdin="a new pass phrase\n")
    assert done.exit_code == 0
    assert ada.user().json["code"] == "token_revoked"
    assert ada.try_login().status_code == 400
    ada.password = "a new pass phrase"
    assert ada.try_login().status_code == 200
    assert Event.PASSWORD_SET in trail()


@pytest.mark.parametrize(
    ("words", "password"),
    [(("unlock", "ada"), PASSWORD), (("set-password", "ada", "--password-stdin"), "new password")],
)
def test_a_pause_can_be_lifted(ada, app, flask, words, password):
    elsewhere = Caller(app.test_client(use_cookies=False))
    for _ in range(11):
        elsewhere.try_login(password="wrong password")
    assert elsewhere.try_login().status_code == 429
    assert flask("users", *words, stdin=f"{password}\n").exit_code == 0
    assert elsewhere.try_login(password=password).status_code == 200


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deactivate", "ada"), "Deactivated ada@example.com, and ended all its sessions."),
        (("activate", "ada"), "Activated ada@example.com. Its user can log in again."),
        (("unlock", "ada"), "Unlocked ada@example.com. Failed logins are counted from zero again."),
        (
            ("set-password", "ada", "--password-stdin"),
            "Set the password of ada@example.com, and ended all its sessions.",
        ),
        (("delete", "ada", "--yes"), "Deleted ada@example.com and all its sessions."),
    ],
)
def test_a_command_that_changes_an_account_says_what_happened(ada, flask, words, said):
    done = flask("users", *words, stdin="a new pass phrase\n")
    assert (done.exit_code, done.output) == (0, f"{said}\n")


def test_a_deleted_user_is_gone_and_a_month_later_the_trail_forgets_from_where(
    ada, flask, rows, trail
):
    from pycoder.models.audit import AuditEvent
    from pycoder.models.session import Session

    assert flask("users", "delete", "ada", stdin="n\n").exit_code == 1
    assert ada.user().status_code == 200
    assert flask("users", "delete", "ada", "--yes").exit_code == 0
    assert ada.user().json["code"] == "token_revoked"
    assert rows(select(User)) == rows(select(Session)) == []
    assert set(rows(select(AuditEvent.ip))) == {"127.0.0.1", None}
    with later(days=30):
        assert flask("tokens", "prune").output == "deleted=0\n"
    assert set(rows(select(AuditEvent.ip))) == {None}
    assert trail() == [Event.USER_REGISTERED, Event.USER_DELETED]


def test_a_service_gets_a_secret_that_is_shown_once(ada, flask, trail):
    made = json.loads(flask("services", "create", "shop", "--json").output)
    assert made.keys() == {"id", "secret"}
    body = {"token": ada.tokens.access}
    answer = ada.client.post("/api/token/introspect/", json=body, auth=tuple(made.values()))
    assert answer.json["active"] is True
    assert flask("services", "create", "bank").output.startswith("id=bank  secret=")
    listed = [json.loads(line) for line in flask("services", "list", "--json").output.splitlines()]
    assert [service["id"] for service in listed] == ["bank", "shop"]
    assert made["secret"] not in flask("services", "list").output
    assert flask("services", "delete", "shop").exit_code == 0
    answer = ada.client.post("/api/token/introspect/", json=body, auth=tuple(made.values()))
    assert answer.json["code"] == "invalid_client"
    assert trail()[-4:] == [
        *(Event.SERVICE_CREATED, Event.SERVICE_CREATED),
        *(Event.SERVICE_DELETED, Event.SERVICE_REFUSED),
    ]


@pytest.mark.parametrize(
    "name", ["Shop", "", "a:b", "-x", "x" * 41, "sh op", "shop\0", "é", "shop\n"]
)
def test_the_name_of_a_service_has_no_surprises(app, flask, rows, name):
    done = flask("services", "create", "--", name)
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert rows(select(OAuthClient)) == []


def test_a_service_is_made_once_and_deleted_once(flask, rows):
    flask("services", "create", "shop")
    (before,) = rows(select(OAuthClient.digest))
    done = flask("services", "create", "shop")
    assert (done.exit_code, "exists already" in done.stderr) == (1, True)
    assert rows(select(OAuthClient.digest)) == [before]
    assert flask("services", "delete", "shop").exit_code == 0
    again = flask("services", "delete", "shop")
    assert (again.exit_code, "no such service" in again.stderr) == (1, True)


def test_prune_says_how_much(ada, flask):
    assert flask("tokens", "prune", "--json").output == '{"deleted": 0}\n'


def test_doctor_prints_every_setting(app, flask):
    from config import Config

    lines = flask("doctor").output.splitlines()
    assert [line.split()[1] for line in lines] == ["version", *Config.settings()]
    for row in json.loads(flask("doctor", "--json").output):
        assert row["complaint"] == ""
        assert app.config["SECRET_KEY"] not in row["value"]


def test_doctor_complains_of_a_misspelt_setting_and_so_does_the_log(new_app, caplog):
    runner = new_app(TRUSTED_PROXYS="hunter2").test_cli_runner()
    assert "TRUSTED_PROXYS is no setting; did you mean TRUSTED_PROXIES?" in caplog.messages
    done = runner.invoke(args=("doctor",))
    assert done.exit_code == 1
    [line] = [line for line in done.output.splitlines() if not line.startswith("ok ")]
    assert line.startswith("UNKNOWN TRUSTED_PROXYS")
    assert "hunter2" not in done.output + caplog.text


def test_a_database_that_is_away_is_one_line(tmp_path):
    from config import TestingConfig
    from pycoder import create_app
    from tests.support.constants import SECRET_KEY

    (tmp_path / "pycoder.db").mkdir()
    url = f"sqlite:///{tmp_path / 'pycoder.db'}"
    app = create_app(TestingConfig({"SECRET_KEY": SECRET_KEY, "DATABASE_URL": url}, tmp_path))
    done = app.test_cli_runner().invoke(args=("users", "list"))
    assert done.exit_code == 1
    assert done.stderr == "Error: the database does not answer: unable to open database file\n"


@pytest.mark.parametrize("words", [("users", "list"), ("keys", "rotate"), ("tokens", "prune")])
def test_a_database_without_tables_is_named_with_the_remedy(words, new_app, new_database):
    done = new_app(DATABASE_URL=new_database()).test_cli_runner().invoke(args=words)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"Error: the database \S+ has no tables; run flask db upgrade first", line)
    assert not re.search("://[^*]+@", line)


def test_lifting_a_pause_is_on_record(ada, flask, trail):
    assert flask("users", "unlock", "ada").exit_code == 0
    assert trail()[-1] == Event.USER_UNLOCKED
