"""Fixtures of the flows of import and export."""

import json

import pytest

from tests.support.imports import NONE


@pytest.fixture
def import_lines(flask):
    """Return a function that imports lines, and returns the verdicts and the reasons by line."""

    def take_over(*lines, options=()):
        text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        done = flask("users", "import", "-", "--json", *options, stdin=text)
        *told, verdicts = [json.loads(line) for line in done.stdout.splitlines()]
        reasons = {one["line"]: one["reason"] for one in told}
        said = [f"line {number}: {reason}" for number, reason in reasons.items()]
        assert done.stderr.splitlines() == said
        assert done.exit_code == bool(verdicts["bad"])
        assert verdicts.keys() == NONE.keys()
        return {name: count for name, count in verdicts.items() if count}, reasons

    return take_over
