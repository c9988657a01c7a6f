"""The key drill: rotate the keys of a running service, and check a session."""

import json
import secrets
from collections.abc import Iterator
from http.client import HTTPException
from time import monotonic, sleep
from typing import Any
from urllib.request import Request, urlopen

from jwt import get_unverified_header

from pycoder.accounts import administration, registration
from pycoder.keys import rotation, store
from pycoder.sessions.login import issue_operator_tokens
from pycoder.tokens.jwt import TokenPair

JWK_SET = "/.well-known/jwks.json"
STEPS = 40  # requests of each kind until the new key signs; refreshes are limited


class ServiceUnderTest:
    """A client of the running service that collects rejected requests."""

    def __init__(self, url: str):
        self.url, self.calls = url, 0
        self.refused: list[str] = []

    def call(self, path: str, *, access: str = "", **body: str) -> Any:
        """Send a GET, or a POST of ``body``, and return the JSON of the response.

        Returns ``None`` for an error, and adds it to ``refused``.
        """
        self.calls += 1
        headers = {"Content-Type": "application/json"}
        if access:
            headers["Authorization"] = f"Bearer {access}"
        data = json.dumps(body).encode() if body else None
        try:
            request = Request(self.url + path, data, headers)  # noqa: S310 - an http(s) URL, see cli/keys.py
            with urlopen(request, timeout=10) as response:  # noqa: S310
                return json.load(response)
        except (OSError, HTTPException, ValueError) as error:  # a ValueError if it is not JSON
            self.refused.append(f"{path}: {error}")
            return None


def run_drill(url: str) -> Iterator[dict[str, Any]]:
    """Rotate the keys, and use a session throughout. Yield each step and the result.

    The session belongs to a temporary account, which receives no mail. Nothing is changed if no
    JWK set is found at the address.
    """
    service = ServiceUnderTest(url)
    if "keys" not in (service.call(JWK_SET) or {}):
        service.refused.append(f"{JWK_SET}: no JWK set")
        yield {"passed": False, "calls": service.calls, "refused": service.refused}
        return
    password = secrets.token_urlsafe(32)
    address = f"drill-{secrets.token_hex(8)}@example.com"
    user = registration.create_user(email=address, password=password)
    try:
        yield from _follow_rotation(service, issue_operator_tokens(user))
    finally:
        administration.delete_user(user)


def _follow_rotation(service: ServiceUnderTest, pair: TokenPair) -> Iterator[dict[str, Any]]:
    """Call the service until it signs with the new key, and verify old and new tokens."""
    began, key = monotonic(), rotation.rotate()
    yield {"made": key.kid, "signs_from": str(key.signs_from)}
    period = store.publication_period().total_seconds()
    published = key.algorithm == "HS256"  # a shared secret is never published
    signs = False
    while not (signs or service.refused) and monotonic() < began + 2 * period:
        sleep(period / STEPS)
        if not published and (jwks := service.call(JWK_SET)):
            published = any(jwk["kid"] == key.kid for jwk in jwks["keys"])
            if published:
                yield {"published_after": round(monotonic() - began, 1)}
        service.call("/api/user/", access=pair.access)
        previous, response = pair, service.call("/api/token/refresh/", refresh=pair.refresh)
        pair = TokenPair(**response) if response else pair
        signs = get_unverified_header(pair.access)["kid"] == key.kid
    for access in (previous.access, pair.access):
        service.call("/api/user/", access=access)
    if signs:
        yield {"signs_after": round(monotonic() - began, 1)}
    passed = published and signs and not service.refused
    yield {"passed": passed, "calls": service.calls, "refused": service.refused}
