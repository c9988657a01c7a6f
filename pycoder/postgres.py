"""A psycopg connection that gives up on a server that does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg

_answer_within: ContextVar[float | None] = ContextVar("answer_within", default=2.0)  # seconds


@contextmanager
def patience() -> Iterator[None]:
    """Wait as long as it takes, as migrations have to."""
    token = _answer_within.set(None)
    yield
    _answer_within.reset(token)


def connect(*args: Any, **kwargs: Any) -> "ImpatientConnection":
    """Connect, and have the server give up on a lock before the client gives up on the server.

    Otherwise its processes would stand in line for clients that have long gone.
    """
    connection = ImpatientConnection.connect(*args, **kwargs)
    connection.execute("SET lock_timeout = '1500ms'")
    connection.commit()
    return connection


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection on which no call waits for longer than two seconds.

    The kernel of a frozen server still acknowledges what it is sent, so neither keepalive nor
    ``tcp_user_timeout`` notices, and a timeout in the server itself is frozen with it. A
    connection that gave up is closed, so that its pool throws it away and its transaction ends.
    """

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server as psycopg does; raises ``OperationalError`` when it takes long."""
        try:
            return super().wait(gen, interval, timeout or _answer_within.get())
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # not the server's word, but its silence
                self.pgconn.finish()
            raise
