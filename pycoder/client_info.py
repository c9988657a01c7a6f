"""What a request reveals about its client: address, user agent, ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

USER_AGENT_LENGTH = 255
DEVICE_COOKIE = "device"


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """The client of a request. On the command line, every field is empty."""

    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    device: str | None = None  # the cookie of sessions/devices.py
    actor_id: int | None = None  # the administrator that acts on other accounts

    def as_shown_to(self, user_id: int | None) -> ClientInfo:
        """Return the client as a user may see it: without that of an administrator."""
        is_own = self.actor_id in (None, user_id)
        return self if is_own else replace(self, ip=None, user_agent=None)


NO_CLIENT = ClientInfo()

_current: ContextVar[Callable[[], ClientInfo]] = ContextVar(
    "client_info", default=lambda: NO_CLIENT
)


def current_client() -> ClientInfo:
    """Return the client on whose behalf the current code runs."""
    return _current.get()()


def bind_client(source: Callable[[], ClientInfo]) -> None:
    """Set where the client of the current context comes from, at an entry point.

    ``source`` is called when the client is needed, which most requests never do.
    """
    _current.set(source)


def bind_actor(user_id: int) -> None:
    """Set the administrator on whose behalf the rest of the current context acts."""
    client = replace(current_client(), actor_id=user_id)
    _current.set(lambda: client)


@contextmanager
def bound_client(client: ClientInfo) -> Iterator[None]:
    """Act on behalf of a client for the duration of a ``with`` block."""
    token = _current.set(lambda: client)
    try:
        yield
    finally:
        _current.reset(token)
