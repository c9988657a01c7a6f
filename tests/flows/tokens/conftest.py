"""Fixtures of the flows of tokens."""

import pytest
import time_machine

from tests.support.forgeries import NOW


@pytest.fixture
def clock():
    """Stop the clock at ``NOW``, when the forged tokens are valid."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def bare(app_without_tables, clock):
    """A client of the application on a database without tables."""
    return app_without_tables.test_client()


@pytest.fixture(params=["access", "refresh"])
def kind(request):
    return request.param
