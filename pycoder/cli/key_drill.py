"""A drill: one rotation, played through against the running service by a session of its own."""

import json
import secrets
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any
from urllib.request import Request, urlopen

from jwt import get_unverified_header

from pycoder.accounts import administration, registration
from pycoder.client_info import ClientInfo
from pycoder.extensions import db
from pycoder.keys import rotation, store
from pycoder.sessions import lifecycle
from pycoder.tokens import status_list
from pycoder.tokens.jwt import TokenPair, issue_tokens

STEPS = 40  # calls of each kind until the new key signs; refreshes have a limit


class ServiceUnderTest:
    """The running service, as its clients see it; keeps count of what it refuses."""

    def __init__(self, url: str):
        self.url, self.calls = url, 0
        self.refused: list[str] = []

    def ask(self, path: str, *, access: str = "", **body: str) -> Any:
        """Return what is answered to a GET, or to a POST of ``body``; None if it is a refusal."""
        self.calls += 1
        headers = {"Content-Type": "application/json"}
        if access:
            headers["Authorization"] = f"Bearer {access}"
        sent = json.dumps(body).encode() if body else None
        try:
            request = Request(self.url + path, sent, headers)  # noqa: S310 - a http(s) URL, see cli
            with urlopen(request, timeout=10) as answer:  # noqa: S310
                return json.load(answer)
        except OSError as error:
            self.refused.append(f"{path}: {error}")
            return None


def run_drill(url: str, *, client: ClientInfo) -> Iterator[dict[str, Any]]:
    """Rotate, and follow a session through it; yield what is seen, and what came of it at last.

    The session is that of an account which is there only meanwhile, and gets no mail.
    """
    password = secrets.token_urlsafe(32)
    address = f"drill-{secrets.token_hex(8)}@example.com"
    user = registration.create_user(email=address, password=password, client=client)
    try:
        place = status_list.allocate_index()
        session = lifecycle.create_session(user.id, user.password_hash, place, client, "body")
        db.session.commit()
        yield from _follow_rotation(ServiceUnderTest(url), issue_tokens(session), client)
    finally:
        administration.delete_user(user, client=client)


def _follow_rotation(
    service: ServiceUnderTest, pair: TokenPair, client: ClientInfo
) -> Iterator[dict[str, Any]]:
    """Call the service from the rotation on until it signs with the new key, and once more."""
    began, key = monotonic(), rotation.rotate(client=client)
    yield {"made": key.kid, "signs_from": str(key.signs_from)}
    overlap = store.publication_period().total_seconds()
    published = key.algorithm == "HS256"  # whose keys are never published
    signs = False
    while not (signs or service.refused) and monotonic() < began + 2 * overlap:
        sleep(overlap / STEPS)
        if not published and (jwks := service.ask("/.well-known/jwks.json")):
            published = any(jwk["kid"] == key.kid for jwk in jwks["keys"])
            if published:
                yield {"published_after": round(monotonic() - began, 1)}
        service.ask("/api/user/", access=pair.access)
        before, answer = pair, service.ask("/api/token/refresh/", refresh=pair.refresh)
        pair = TokenPair(**answer) if answer else pair
        signs = get_unverified_header(pair.access)["kid"] == key.kid
    for access in (before.access, pair.access):
        service.ask("/api/user/", access=access)
    if signs:
        yield {"signs_after": round(monotonic() - began, 1)}
    passed = published and signs and not service.refused
    yield {"passed": passed, "calls": service.calls, "refused": service.refused}
