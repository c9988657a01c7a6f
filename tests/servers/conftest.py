"""Fixtures of the tests with real servers."""

import pytest

from tests.support.postgres import run_postgres


@pytest.fixture(scope="module")
def breakable_postgres(tmp_path_factory):
    """A PostgreSQL server that tests may stop and suspend."""
    with run_postgres(tmp_path_factory) as server:
        yield server
