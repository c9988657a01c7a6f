"""A psycopg connection that gives up on a server that does not answer, and notices a pooler."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Self

import psycopg

_timeout: ContextVar[float | None] = ContextVar("answer_within", default=2.0)  # seconds


@contextmanager
def without_timeout() -> Iterator[None]:
    """Wait as long as it takes, as migrations have to."""
    token = _timeout.set(None)
    yield
    _timeout.reset(token)


class TimeoutConnection(psycopg.Connection[Any]):
    """A connection on which no call waits for longer than two seconds.

    The kernel of a frozen server still acknowledges what it is sent, so neither keepalive nor
    ``tcp_user_timeout`` notices, and a timeout in the server itself is frozen with it. A
    connection that gave up is closed, so that its pool throws it away and its transaction ends.
    """

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Connect, and do without prepared statements behind a pooler.

        PgBouncer in transaction mode gives each transaction another server process, which knows
        nothing of what was prepared in the last one. A pooler is told by the process id that it
        announces, which is not that of the process that answers.
        """
        connection = super().connect(*args, **kwargs)
        connection.autocommit = True
        answering = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.autocommit = False
        if answering != (connection.pgconn.backend_pid,):
            connection.prepare_threshold = None
        return connection

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server as psycopg does; raises ``OperationalError`` when it takes long."""
        try:
            return super().wait(gen, interval, timeout or _timeout.get())
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # not the server's word, but its silence
                with suppress(psycopg.Error):  # or its process would stand in line for nobody
                    self.cancel_safe(timeout=0.5)
                self.pgconn.finish()
            raise
