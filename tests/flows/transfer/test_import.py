"""The import and export of users."""

import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from pycoder.accounts.transfer import importing
from pycoder.accounts.transfer.importing import ImportOptions
from pycoder.accounts.transfer.reading import MAXIMUM_RECORD
from pycoder.audit import Event
from pycoder.models.audit import AuditEvent
from pycoder.models.role import UserRole
from pycoder.models.user import User
from pycoder.passwords.hashing import NO_PASSWORD
from tests.support.application import empty_tables
from tests.support.callers import Caller
from tests.support.imports import line, report
from tests.support.password_hashes import FOREIGN, KNOWN


def test_ids_flags_and_times_are_kept_and_the_next_user_gets_a_new_id(import_lines, anyone, rows):
    closed = line(7, is_active=False, date_joined="2021-03-04 05:06:07+02", first_name="Ada")
    assert import_lines(closed, line(40_000))[0] == {"added": 2}
    user = rows(select(User).order_by(User.id))[0]
    assert (user.id, user.is_active, user.first_name) == (7, False, "Ada")
    assert user.date_joined.isoformat() == "2021-03-04T03:06:07+00:00"
    first = anyone.register().json["user"]["id"]
    assert first > 40_000
    assert import_lines(line(9))[0]["added"] == 1
    anyone.email = "later@example.com"
    assert anyone.register().json["user"]["id"] == first + 1


def test_csv_is_read_too_also_in_part_and_again(flask, tmp_path, rows):
    file = tmp_path / "users.csv"
    header = "id,email,username,date_joined,is_active,is_staff,password,first_name\r\n"
    cells = '{0},u{0}@example.com,u{0},2021-03-04 05:06:07.5+00,{1},f,"{2}","Ada, née"\r\n'
    hashed = FOREIGN["argon2"]
    lines = [cells.format(number, "tf"[number % 2], hashed) for number in (1, 2, 3)]
    file.write_text("\ufeff" + header + lines[0] + '2,"never closed\r\n' + "\r\n2\r\n" + lines[2])
    done = flask("users", "import", str(file))
    assert (done.exit_code, done.stdout) == (1, f"{report(added=2, bad=2)}\n")
    assert done.stderr.splitlines() == [
        "line 3: line: This is not CSV in UTF-8.",
        "line 5: line: This has 1 cells, the header 8.",
    ]
    file.write_text(header + "".join(lines))
    assert flask("users", "import", str(file)).output == f"{report(added=1, existing=2)}\n"
    assert rows(select(User.is_active).order_by(User.id)) == [False, True, False]
    assert rows(select(User.first_name)) == ["Ada, née"] * 3


def test_a_username_of_digits_alone_is_made_different(flask, rows):
    for status in ("added", "existing"):
        done = flask("users", "import", "-", stdin=line(7, username="1815"))
        assert done.output == f"{report(**{status: 1})}\n"
    assert rows(select(User.username)) == ["1815_"]


COLUMNS = "id,email,username,date_joined"


@pytest.mark.parametrize("header", ["", "id", "email", f"{COLUMNS},size", f"{COLUMNS},id", "\xff"])
def test_a_header_that_cannot_be_read_is_refused(flask, header, rows):
    done = flask("users", "import", "-", "--csv", stdin=header)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: header: ")


BAD_LINES = [
    ("{", "line: This is not JSON"),
    ('{"id": 1, "id": 2}', "line: This is not JSON"),
    ("[]", "line: This is not a JSON object"),
    (b'{"id": "\xff"}', "line: This is not JSON in UTF-8"),
    (b"x" * MAXIMUM_RECORD * 3, "line: This is longer than 65536 bytes"),
    (line(None), "id: Missing data"),
    (line(1, external_id="a\nb"), "external_id: Not printable"),
    (line(1, external_id="b" * 256), "external_id: Longer than"),
    (line(0), "id: Must be"),
    (line(2**53), "id: Must be"),
    (line(True), "id: Not a valid integer"),
    (line(1.5), "id: Not a valid integer"),
    (line(1, email="ada"), "email: This is not a valid"),
    (line(1, last_name="a\u202eb"), "last_name: Use at most 150 characters"),
    (line(1, email=["a"]), "email: Not a valid string"),
    (line(1, first_name="a\nb"), "first_name: "),
    (line(1, last_name="b" * 151), "last_name: "),
    (line(1, date_joined="yesterday"), "date_joined: Not a valid datetime"),
    (line(1, date_joined="0001-01-01T00:00:00+14:00"), "date_joined: Not a valid datetime"),
    (line(1, is_active="perhaps"), "is_active: Not a valid boolean"),
    *[(line(1, roles=bad), "roles: Not a") for bad in (["Editor"], [5], {}, 5, "a b", [["a"]])],
    (line(1, shoe_size=42), "shoe_size: Unknown field"),
    (line(1, **{"\x1b[2J\n": 1}), "?[2J?: Unknown field"),
    (line(1, password=5), "password: Not a valid string"),
    (line(2, email="other@example.com", username="other"), "id: It belongs to another"),
    (line(1, email="USER2@example.com"), "email: An account with this e-mail"),
    (line(1, username="User2"), "username: An account with this username"),
    (line(2, date_joined="2020-03-04T05:06:07Z"), "id: It belongs to another"),
]


def test_every_bad_line_is_told_with_its_number_and_reason_and_loses_no_other(import_lines, rows):
    lines = [line(2), "", line(3)]
    for number, (bad, _) in enumerate(BAD_LINES, start=100):
        lines += [bad, line(number)]
    verdicts, reasons = import_lines(*lines, line(2))
    assert list(reasons) == [4 + 2 * number for number in range(len(BAD_LINES))]
    for told, (_, reason) in zip(reasons.values(), BAD_LINES, strict=True):
        assert told.startswith(reason)
        assert "secret" not in told
    assert verdicts == {"added": 2 + len(BAD_LINES), "existing": 1, "bad": len(BAD_LINES)}
    assert len(rows(select(User.id))) == verdicts["added"]


def test_argon2_without_its_package_is_a_bad_line(import_lines, monkeypatch):
    monkeypatch.setattr("pycoder.passwords.foreign.find_spec", lambda name: None)
    _, reasons = import_lines(line(1, password=FOREIGN["argon2"]), line(2))
    assert reasons == {
        1: "password: Verifying this hash needs the package argon2-cffi, which is not installed."
    }


def test_names_that_django_allowed_are_kept(import_lines, app):
    verdicts, _ = import_lines(line(1, username="al"), line(2, username="USER2@example.com"))
    assert verdicts["added"] == 2
    for name in ("al", "user2@example.com"):
        assert Caller(app.test_client(), name, KNOWN).try_login().status_code == 200


def test_many_are_added_in_batches_and_each_batch_is_on_record(import_lines, rows, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 10)
    users = [line(number) for number in range(1, 26)]
    assert import_lines(*users[:15])[0]["added"] == 15
    assert import_lines(*users) == ({"added": 10, "existing": 15}, {})
    on_record = [
        rows(select(column).order_by(AuditEvent.id))
        for column in (AuditEvent.event, AuditEvent.reason)
    ]
    assert on_record == [
        [Event.USERS_IMPORTED] * 4,
        ["10 users", "5 users", "5 users", "5 users"],
    ]


def test_two_imports_at_once_add_every_user_once(app, rows, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 10)
    file = "\n".join(line(number) for number in range(1, 201)).encode()

    def take_over(_):
        with app.app_context():
            outcomes = importing.import_users(io.BytesIO(file), ImportOptions())
            return Counter(outcome.status for outcome in outcomes)

    with ThreadPoolExecutor(2) as threads:
        verdicts = sum(threads.map(take_over, range(2)), Counter())
    assert verdicts == {"added": 200, "existing": 200}
    assert len(rows(select(User.id))) == 200


def test_a_batch_is_added_while_the_file_is_still_being_read(app, rows, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 1)
    with app.app_context():
        file = io.BytesIO(b"\n".join(line(number).encode() for number in (1, 2, 3)))
        outcomes = importing.import_users(file, ImportOptions())
        assert next(outcomes)[:3] == ("line", 1, "added")
        assert rows(select(User.id)) == [1]


@pytest.mark.parametrize("password", ["!", "!G7kq", "", None])
def test_a_user_without_a_password_is_one_here(password, import_lines, anyone, rows):
    import_lines(line(1, password=password))
    assert rows(select(User.password_hash)) == [NO_PASSWORD]
    for guess in ("!", password or "x", "!G7kq"):
        assert anyone.try_login(email="user1@example.com", password=guess).status_code == 400


def test_imported_roles_are_on_record(import_lines, rows):
    import_lines(line(1, roles=["editor", "admin", "admin"]), line(2, roles=[]), line(3))
    import_lines(line(1, roles=["viewer"]))
    assert rows(select(UserRole.role).order_by(UserRole.role)) == ["admin", "editor"]
    granted = select(AuditEvent).where(AuditEvent.event == Event.ROLE_GRANTED)
    assert [(e.user_id, e.reason) for e in rows(granted)] == [(1, "admin"), (1, "editor")]


def test_a_deleted_account_is_not_revived(import_lines, flask, rows):
    import_lines(line(1), line(2))
    flask("users", "delete", "1", "--yes")
    assert import_lines(line(1), line(2))[1] == {1: "id: This account was deleted here."}
    assert rows(select(User.id)) == [2]


def test_keys_of_both_kinds_can_be_in_one_file(import_lines, anyone, rows):
    lines = [line(40_000), line("x", external_id=None), line(40_001, external_id="y"), line("z")]
    assert import_lines(*lines)[0] == {"added": 4}
    assert import_lines(*lines)[0] == {"existing": 4}
    user = line(50_000, external_id="x")
    reason = "external_id: It belongs to another account."
    assert import_lines(user)[1] == {1: reason}
    given = {user.external_id: user.id for user in rows(select(User))}
    assert (given[None], given["y"]) == (40_000, 40_001)
    assert len({*given.values(), anyone.register().json["user"]["id"]}) == 5


def test_what_is_exported_can_be_imported_again(app, ada, bob, flask, rows, trail):
    flask("users", "deactivate", "bob")
    without = flask("users", "export").output
    assert "password" not in without
    whole = flask("users", "export", "--with-password-hashes").output
    before = rows(select(User).order_by(User.id))
    assert flask("users", "import", "-", stdin=whole).output == f"{report(existing=2)}\n"
    assert trail()[-2:] == [Event.USERS_EXPORTED] * 2
    empty_tables(app)
    assert flask("users", "import", "-", stdin=whole).output == f"{report(added=2)}\n"
    after = rows(select(User).order_by(User.id))
    names = [column.key for column in User.__table__.columns if column.key != "handle"]
    assert [[getattr(user, name) for name in names] for user in after] == [
        [getattr(user, name) for name in names] for user in before
    ]
    assert ada.try_login().status_code == 200
    empty_tables(app)
    assert flask("users", "import", "-", stdin=without).output == f"{report(added=2)}\n"
    assert ada.try_login().status_code == 400
