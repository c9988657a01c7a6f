"""Lines of the log."""

import json
import logging
import sys

import pytest

from pycoder.logs import JSONLines


def line_of(message, exc_info=None):
    record = logging.LogRecord("pycoder", logging.ERROR, "x.py", 1, message, (), exc_info)
    return JSONLines().format(record)


@pytest.mark.parametrize("nasty", ["a\nb", "a\r\nb", "\x1b[31m", "\0", "\u2028", "\udcff", "ü"])
def test_nobody_writes_a_line_of_his_own(nasty):
    line = line_of(f"before {nasty} after")
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"before {nasty} after"


def test_a_line_is_bounded():
    assert len(line_of("x" * 1_000_000)) < 10_000


def test_a_traceback_is_part_of_its_line():
    try:
        raise ValueError("a\nb")
    except ValueError:
        line = line_of("oh", sys.exc_info())
    assert len(line.splitlines()) == 1
    assert "ValueError" in json.loads(line)["traceback"]
