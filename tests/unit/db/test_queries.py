"""Transactions of their own, beside those of the caller."""

from contextlib import suppress

from sqlalchemy import delete, func, select

from pycoder.clock import now
from pycoder.db.queries import autocommit, insert_into, separate_transaction
from pycoder.models.session import PendingIndex


def count():
    with autocommit() as connection:
        return connection.execute(select(func.count(PendingIndex.idx))).scalar_one()


def add(connection, idx):
    connection.execute(insert_into(PendingIndex).values(idx=idx, allocated_at=now()))


def test_a_separate_transaction_is_seen_as_a_whole(context):
    with separate_transaction() as connection:
        add(connection, 1)
        assert count() == 0
        add(connection, 2)
    assert count() == 2


def test_a_separate_transaction_that_fails_leaves_nothing(context):
    with suppress(ZeroDivisionError), separate_transaction() as connection:
        add(connection, 1)
        raise ZeroDivisionError
    assert count() == 0


def test_a_connection_is_in_autocommit_again_after_a_separate_transaction(context):
    for fails in (False, True):
        with suppress(ZeroDivisionError), separate_transaction() as connection:
            driver = connection.connection.driver_connection
            if fails:
                add(connection, 2)
            raise ZeroDivisionError
        with autocommit() as connection:
            assert connection.connection.driver_connection is driver
            add(connection, 1)
            assert count() == 1
            connection.execute(delete(PendingIndex))
