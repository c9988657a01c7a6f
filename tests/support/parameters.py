"""Parametrised tests and the names of their cases."""

import json

import pytest


def in_words(value):
    text = json.dumps(value) if not isinstance(value, str) else value or "empty"
    return text if len(text) < 40 else f"{text[:12]}-{len(text)}"


def table(cases):
    """Parametrise by a dictionary of names and values."""
    return pytest.mark.parametrize("case", list(cases.values()), ids=list(cases))


in_a_fleet = pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
# Before a database is asked, one kind of it is enough.
at_the_door = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
