"""The forms in which users are imported: arrays, CSV, columns of other names."""

import io
import json

import pytest
from sqlalchemy import select

from pycoder.accounts.transfer import reading
from pycoder.accounts.transfer.importing import ImportOptions, import_users
from pycoder.accounts.transfer.reading import MAXIMUM_RECORD
from pycoder.models.user import User
from tests.support.callers import Caller
from tests.support.imports import line, report
from tests.support.parameters import on_sqlite, table
from tests.support.password_hashes import KNOWN

pytestmark = on_sqlite


@pytest.fixture
def import_file(flask, tmp_path):
    """Return a function that imports a file of a name, and returns the finished command."""

    def run(text, *options, name="users.json"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return flask("users", "import", str(file), *options)

    return run


def dumped(number, **fields):
    """Return a user as Django's serializers write it."""
    values = json.loads(line(number, **fields))
    return {"model": "auth.user", "pk": values.pop("id"), "fields": values}


GROUP = {"model": "auth.group", "pk": 1, "fields": {"name": "editors", "permissions": []}}
ADDRESS = {
    "model": "account.emailaddress",
    "pk": 1,
    "fields": {"user": 1, "email": "user1@example.com", "verified": True},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n \n"])
def test_the_array_of_dumpdata_is_read_and_other_models_are_ignored(
    import_file, rows, indent, start
):
    dump = [GROUP, dumped(1), ADDRESS, dumped(2, first_name='a"]}, \\')]
    done = import_file(start + json.dumps(dump, indent=indent))
    assert done.output == f"{report(added=2, ignored=2)}\n"
    assert rows(select(User.first_name).order_by(User.id)) == ["", 'a"]}, \\']


def test_other_models_are_ignored_in_lines_too(import_lines):
    lines = [json.dumps(one) for one in (GROUP, dumped(1), ADDRESS)]
    assert import_lines(*lines) == ({"added": 1, "ignored": 2}, {})


def test_a_bad_element_of_an_array_affects_no_other(import_file, rows):
    bad = ['{"id": 1 "email"}', '{"id": 1, "id": 2}', "5", "", '"x"', "[]"]
    long = json.dumps({"id": 9, "x": "y" * MAXIMUM_RECORD * 9})
    elements = [line(1), *bad, long, line(2)]
    done = import_file(f"[{','.join(elements)}]")
    assert done.stdout == f"{report(added=2, bad=7)}\n"
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    assert [one.partition(":")[0] for one in told] == [f"record {number}" for number in range(2, 9)]
    assert told[-1] == "record 8: record: This is longer than 65536 bytes."
    assert rows(select(User.id)) == [1, 2]


BROKEN = {
    "cut off": (f"[{line(1)}, {line(2)[:30]}", 2, "The array of users breaks off here."),
    "an open string": (f'[{line(1)}, "x', 2, "The array of users breaks off here."),
    "an open bracket": (f"[{line(1)}, [{line(2)}]", 2, "The array of users breaks off here."),
    "a huge string": (f'[{line(1)}, {{"x": "{"y" * 5_000_000}', 2, "too long."),
}


@table(BROKEN)
def test_what_is_before_the_end_of_a_broken_array_is_imported(case, import_file, rows):
    text, number, reason = case
    done = import_file(text)
    assert done.stdout == f"{report(added=1, bad=1)}\n"
    assert done.stderr.startswith(f"record {number}: file: ")
    assert done.stderr.endswith(f"{reason}\n")
    assert rows(select(User.id)) == [1]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_an_array_is_the_same_however_it_is_read(app, monkeypatch, chunk):
    monkeypatch.setattr(reading, "CHUNK", chunk)
    text = json.dumps([dumped(number, last_name='é"\\\\\\"[') for number in range(20)], indent=1)
    records = list(reading.read_json(io.BytesIO(text.encode())))
    assert [record.values for record in records] == json.loads(text)


def test_only_a_part_of_an_array_is_in_memory(app, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK", 1000)
    file = io.BytesIO(f"[{','.join(map(line, range(1, 1000)))}]".encode())
    next(reading.read_json(file))
    assert file.tell() <= 1000 + MAXIMUM_RECORD + 1
    assert next(import_users(io.BytesIO(b"[]"), ImportOptions()), None) is None


@pytest.mark.parametrize("name", ["users.csv", "USERS.CSV", "Users.Tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_every_delimiter_is_read(import_file, rows, delimiter, name):
    table = [
        ["id", "email", "username", "first_name", "roles"],
        ["7", "ada@example.com", "ada", '"King, Ada; Countess"', '"editor,viewer"'],
        ["8", "bob@example.com", "bob", "Bob\u00a0B", ""],
    ]
    text = "\ufeff" + "\r\n".join(delimiter.join(cells) for cells in table)
    assert import_file(text, name=name).output == f"{report(added=2)}\n"
    ada, bob = rows(select(User).order_by(User.id))
    assert (ada.id, ada.first_name, ada.roles) == (7, "King, Ada; Countess", ["editor", "viewer"])
    assert (bob.id, bob.username, bob.roles) == (8, "bob", [])


def test_columns_of_other_names_are_mapped_and_unknown_ones_ignored(import_file, rows):
    text = "id,mail,login,shoe size,email\n1,ada@example.com,countess,42,old\n"
    columns = ("--map", "email=mail, username=login")
    done = import_file(text, *columns, name="users.csv")
    assert done.stderr == "Error: header: Unknown columns: 'shoe size'.\n"
    done = import_file(text, *columns, "--ignore-unknown", name="users.csv")
    assert done.output == f"{report(added=1)}\n"
    [user] = rows(select(User))
    assert (user.id, user.email, user.username) == (1, "ada@example.com", "countess")


def test_columns_of_json_are_mapped_and_unknown_ones_ignored(import_lines, rows):
    mapped = ("--map", "email=mail,username=email,roles=", "--ignore-unknown")
    user = {"id": 1, "mail": "a@example.com", "email": "ada", "shoes": 42, "roles": ["admin"]}
    assert import_lines(json.dumps(user), options=mapped)[0] == {"added": 1}
    dump = dumped(2, mail="b@example.com", email="bob", roles=["admin"], shoes=[{}])
    assert import_lines(json.dumps(dump), options=mapped)[0] == {"added": 1}
    users = rows(select(User).order_by(User.id))
    assert [(one.email, one.username, one.roles) for one in users] == [
        ("a@example.com", "ada", []),
        ("b@example.com", "bob", []),
    ]


def test_a_mapped_column_is_no_unknown_one(import_lines, import_file):
    user = json.dumps({"id": 1, "mail": "ada@example.com"})
    assert import_lines(user, options=("--map", "email=mail"))[0] == {"added": 1}
    done = import_file("id,mail\n1,ada@example.com\n", "--map", "email=mail", name="users.csv")
    assert done.output == f"{report(existing=1)}\n"


def test_users_without_an_id_get_one_and_are_recognized_by_their_address(import_file, anyone, rows):
    text = "id,email\nx1,Ada@example.com\n,bob@example.com\n"
    for counts in ({"added": 2}, {"existing": 2}):
        done = import_file(text, "--map", "id=", name="users.csv")
        assert done.output == f"{report(**counts)}\n"
    users = rows(select(User).order_by(User.id))
    assert [(one.username, one.external_id) for one in users] == [("ada", None), ("bob", None)]
    anyone.email = "next@example.com"
    assert anyone.register().json["user"]["id"] > users[1].id > users[0].id


@pytest.mark.parametrize("text", ["mail=email", "email", "email=a,email=b", "=mail", "pk=id"])
def test_a_map_that_makes_no_sense_is_refused(import_file, text):
    done = import_file(line(1), "--map", text)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: map: ")


def test_a_column_that_the_map_names_must_be_there(import_file):
    done = import_file("id,email\n", "--map", "username=login", name="users.csv")
    assert done.stderr == "Error: header: Missing columns: login.\n"


def test_users_without_an_address_are_bad_skipped_or_given_one(import_lines, rows, app):
    ada, bob = line(1, email="", username="Ada", email_verified=True), line(2)
    nobody = line(3, email=" ", username="")
    assert import_lines(ada, bob, nobody)[0] == {"added": 1, "bad": 2}
    options = ("--skip",)
    assert import_lines(ada, bob, options=options)[0] == {"existing": 1, "skipped": 1}
    options = ("--default-domain", "Users.Example.org", "--skip")
    assert import_lines(ada, bob, nobody, options=options) == (
        {"added": 1, "existing": 1, "skipped": 1},
        {},
    )
    user = rows(select(User).order_by(User.id))[0]
    assert (user.email, user.username) == ("ada@users.example.org", "Ada")
    assert user.email_verified is False
    assert Caller(app.test_client(), "Ada", KNOWN).try_login().status_code == 200


@pytest.mark.parametrize("domain", ["-", "a b", "example", "@example.org"])
def test_a_domain_that_is_none_is_refused(import_file, domain):
    done = import_file(line(1), "--default-domain", domain)
    assert (done.exit_code, done.stdout) == (1, "")


def test_usernames_are_made_as_at_registration(import_lines, rows):
    given = {"": "ada.l", "a b": "ada.l-", "bob@example.com": "ada.l-", None: "ada.l-"}
    lines = [
        line(number, email=f"Ada.L@{number}.example.com", username=name)
        for number, name in enumerate(given, start=1)
    ]
    reason = "username: It is invalid here, and was derived from the e-mail address."
    assert import_lines(*lines) == ({"added": 4}, {2: reason, 3: reason})
    names = rows(select(User.username).order_by(User.id))
    assert [name[: len(begins)] for name, begins in zip(names, given.values(), strict=True)] == [
        *given.values()
    ]
    assert len(set(names)) == 4
    assert import_lines(*lines) == ({"existing": 4}, {})
