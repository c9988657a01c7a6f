"""What a request reveals about its client: address, user agent, request id, device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pycoder.http.request import ApiRequest

USER_AGENT_LENGTH = 255
DEVICE_COOKIE = "device"


@dataclass(frozen=True)
class ClientInfo:
    """Describe the client of a request; commands leave every field empty."""

    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    device: str | None = None  # the cookie of sessions/devices.py

    @classmethod
    def from_request(cls, request: ApiRequest) -> ClientInfo:
        """Return the client of a request. Its texts are bounded and printable."""
        agent = request.headers.get("User-Agent", "")
        if not agent.isprintable():
            agent = "".join(character for character in agent if character.isprintable())
        return cls(
            ip=request.client_ip,
            user_agent=agent[:USER_AGENT_LENGTH] or None,
            request_id=request.id,
            device=request.cookies.get(DEVICE_COOKIE),
        )


COMMAND_LINE = ClientInfo()
