"""A psycopg connection with a timeout, which also works behind a pooler."""

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Self

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

_timeout: ContextVar[float | None] = ContextVar("timeout", default=2.0)  # seconds


@contextmanager
def without_timeout() -> Iterator[None]:
    """Disable the timeout for the duration of a ``with`` block, for migrations."""
    token = _timeout.set(None)
    yield
    _timeout.reset(token)


class TimeoutConnection(psycopg.Connection[Any]):
    """A connection on which no call waits for longer than two seconds.

    The kernel of a frozen server still acknowledges packets, so neither keepalive nor
    ``tcp_user_timeout`` notices it. A ``statement_timeout`` is frozen with the server. After a
    timeout the connection is closed, so that its transaction ends and its pool discards it.
    """

    _input: select.poll

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Connect, and disable prepared statements behind a pooler.

        In transaction mode, PgBouncer gives each transaction another server process, which lacks
        the statements that were prepared in the last one. A pooler is recognized by the process id
        in its greeting, which differs from that of the process that executes statements.
        """
        connection = super().connect(*args, **kwargs)
        connection.autocommit = True
        backend_pid = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.autocommit = False
        if backend_pid != (connection.pgconn.backend_pid,):
            connection.prepare_threshold = None
        connection._input = select.poll()
        connection._input.register(connection.pgconn.socket, select.POLLIN)
        return connection

    def has_ended(self) -> bool:
        """Return whether the server has closed this idle connection, without a round trip.

        The end makes the socket readable. So does what a server may send at any time, such as a
        notice. That is read here, and the connection stays. The check takes about 1 µs.
        """
        try:
            while not self.closed and self._input.poll(0):
                self.pgconn.consume_input()
        except psycopg.OperationalError:
            return True
        return self.closed

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server as psycopg does. Raises ``OperationalError`` on a timeout.

        A connection that is read-only is closed: it stays so when the database no longer is.
        """
        try:
            return super().wait(gen, interval, timeout or _timeout.get())
        except psycopg.errors.ReadOnlySqlTransaction:
            self.pgconn.finish()
            raise
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # a timeout, not an error of the server
                with suppress(psycopg.Error):  # or the server would still execute the statement
                    self.cancel_safe(timeout=0.5)
                self.pgconn.finish()
            raise


@event.listens_for(Pool, "checkout")
def _replace_ended(connection: Any, *_: Any) -> None:
    """Replace a connection that its server has closed, before a request uses it.

    SQLAlchemy then connects anew. Nothing was sent yet, so nothing is repeated.
    """
    if isinstance(connection, TimeoutConnection) and connection.has_ended():
        raise DisconnectionError
