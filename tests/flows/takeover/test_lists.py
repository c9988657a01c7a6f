"""The import of the list of outstanding tokens."""

import json

import pytest
from sqlalchemy import select

from pycoder.audit import Event
from pycoder.models.takeover import TakeoverToken
from pycoder.takeover import outstanding
from tests.support.parameters import on_sqlite, table
from tests.support.simplejwt import earlier_token, import_list, listed

GOOD = {"jti": "0123456789abcdef0123456789abcdef", "user_id": 501, "exp": 1_800_000_000}
BAD = {
    "a token": (GOOD | {"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"}, "token: "),
    "no jti": ({"user_id": 1, "exp": 1}, "line: "),
    "another member": (GOOD | {"created_at": 1}, "line: "),
    "no object": ([], "line: "),
    "a jti of another type": (GOOD | {"jti": 1}, "jti: "),
    "a jti that is too long": (GOOD | {"jti": "a" * 256}, "jti: "),
    "a user by uuid": (GOOD | {"user_id": "c0ffee00-0000-4000-8000-000000000000"}, "user_id: "),
    "no user": (GOOD | {"user_id": None}, "user_id: "),
    "a time as text": (GOOD | {"exp": "2026-12-31"}, "exp: "),
    "a time that is too large": (GOOD | {"exp": 2**33}, "exp: "),
}


def test_a_list_can_be_imported_again(flask, rows, trail, monkeypatch):
    monkeypatch.setattr(outstanding, "BATCH", 2)
    text = listed(*(earlier_token(number) for number in range(501, 506)))
    assert import_list(flask, text).output == "added=5  existing=0  bad=0\n"
    assert import_list(flask, text + text).output == "added=0  existing=10  bad=0\n"
    assert sorted(rows(select(TakeoverToken.user_id))) == [501, 502, 503, 504, 505]
    assert trail().count(Event.TAKEOVER_LISTED) == 3


@on_sqlite
@table(BAD)
def test_a_bad_line_is_reported_and_the_others_are_imported(flask, rows, case):
    line, reason = case
    text = f"{json.dumps(line)}\n{json.dumps(GOOD)}\n"
    done = import_list(flask, text)
    assert (done.exit_code, done.stdout) == (1, "added=1  existing=0  bad=1\n")
    assert done.stderr.startswith(f"line 1: {reason}")
    assert "eyJ" not in done.output
    assert rows(select(TakeoverToken.jti)) == [GOOD["jti"]]


@on_sqlite
@pytest.mark.parametrize("line", ["{", '{"jti": "a", "jti": "b"}', "\ufeff{}", "x" * 5000])
def test_what_is_no_json_is_reported(flask, line):
    done = import_list(flask, f"{line}\n{json.dumps(GOOD)}")
    assert (done.exit_code, done.stdout) == (1, "added=1  existing=0  bad=1\n")


@on_sqlite
def test_an_id_may_be_text(flask, rows):
    assert import_list(flask, json.dumps(GOOD | {"user_id": "501"})).exit_code == 0
    assert rows(select(TakeoverToken.user_id)) == [501]
