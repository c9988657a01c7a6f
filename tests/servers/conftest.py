"""Fixtures of the tests with real servers."""

import pytest

from tests.support.postgres import started_postgres


@pytest.fixture(scope="module")
def frail_postgres(tmp_path_factory):
    """A PostgreSQL server that tests may stop and freeze."""
    with started_postgres(tmp_path_factory) as server:
        yield server
