"""Fixtures of the unit tests."""

import pytest


@pytest.fixture
def context(app):
    """Push an application context."""
    with app.app_context():
        yield
