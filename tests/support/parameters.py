"""Parametrised tests and the names of their cases."""

import json

import pytest


def in_words(value):
    """Return the name of a case: its value, shortened."""
    text = json.dumps(value) if not isinstance(value, str) else value or "empty"
    return text if len(text) < 40 else f"{text[:12]}-{len(text)}"


def table(cases):
    """Parametrize a test by a dictionary of names and values."""
    return pytest.mark.parametrize("case", list(cases.values()), ids=list(cases))


on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="session")
# One kind of database is enough where the result does not depend on it.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
