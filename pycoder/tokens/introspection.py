"""Token introspection (RFC 7662), and the services that may use it."""

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from jwt import InvalidTokenError
from sqlalchemy import bindparam, delete, select

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, fetch_one, insert_into
from pycoder.errors import InvalidClient, InvalidInput
from pycoder.extensions import db
from pycoder.models.oauth_client import OAuthClient
from pycoder.ratelimit import limiter
from pycoder.tokens.claims import OPTIONAL_CLAIMS
from pycoder.tokens.jwt import decode_token
from pycoder.tokens.state import load_token_state, record_token_misuse

CLIENT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
INVALID_CLIENT_NAME = "Use at most 40 of a-z, 0-9 and . _ -, and begin with a letter or digit."
CLIENT_NAME_TAKEN = "A service with this name exists already."
INTROSPECTED_CLAIMS = (
    *("sub", "sid", "jti", "iss", "aud", "iat", "exp", "client_id", "auth_time", "amr", "acr"),
    "roles",
)

_DIGEST = select(OAuthClient.digest).where(OAuthClient.name == bindparam("name"))


def create_client(name: str) -> str:
    """Add a service, and return its secret. Only a hash of it is stored.

    Raises ``InvalidInput`` for an invalid or taken name.
    """
    if not CLIENT_NAME.fullmatch(name):
        raise InvalidInput({"name": [INVALID_CLIENT_NAME]})
    secret = secrets.token_urlsafe(32)
    row = {"name": name, "digest": _secret_digest(secret), "created_at": now()}
    if not execute_in_transaction(insert_into(OAuthClient).values(row).on_conflict_do_nothing()):
        raise InvalidInput({"name": [CLIENT_NAME_TAKEN]})
    audit.record(Event.SERVICE_CREATED, reason=name)
    db.session.commit()
    return secret


def list_clients() -> Sequence[OAuthClient]:
    """Return all services, ordered by name."""
    return db.session.scalars(select(OAuthClient).order_by(OAuthClient.name)).all()


def delete_client(name: str) -> None:
    """Delete a service. Raises ``InvalidInput`` if there is none of this name."""
    if not execute_in_transaction(delete(OAuthClient).where(OAuthClient.name == name)):
        raise InvalidInput({"service": ["There is no such service."]})
    audit.record(Event.SERVICE_DELETED, reason=name)
    db.session.commit()


def authenticate_client(name: str, secret: str) -> None:
    """Authenticate a service by its secret. Each failure is counted and recorded.

    A correct secret is accepted even if the network has exceeded the limit: 256 random bits cannot
    be guessed, so an attacker in the same network does not lock the service out. Raises
    ``InvalidClient`` and ``TooManyRequests``.
    """
    client = fetch_one(_DIGEST, {"name": name}) if CLIENT_NAME.fullmatch(name) else None
    if compare_digest(_secret_digest(secret), client.digest if client else "") and client:
        return
    limiter.hit("introspect.ip", limiter.client_network())
    reason = "wrong secret" if client else "unknown service" if name else "no credentials"
    audit.record_separately(Event.SERVICE_REFUSED, reason=reason)
    raise InvalidClient


def introspect_token(token: str) -> dict[str, Any]:
    """Return the introspection response for an access token (RFC 7662).

    Any other token is reported as inactive. A refresh token is never sent to a service, so a
    service that received one learns it here. The access token of a cookie session leaves its
    cookie only by theft, so it is inactive and recorded. Introspection does not use a token.
    """
    try:
        claims = decode_token(token, "access")
    except InvalidTokenError:
        return {"active": False}
    state = load_token_state(claims)
    if not (state and state.is_valid(claims)) or state.is_outdated(claims):
        return {"active": False}
    if state.transport == "cookie":
        record_token_misuse(Event.TOKEN_MISPLACED, claims)
        return {"active": False}
    names = (*INTROSPECTED_CLAIMS, *(OPTIONAL_CLAIMS & claims.keys()))
    response = {name: claims[name] for name in names}
    username = state.user.username
    return {"active": True, "token_type": "Bearer", "username": username, **response}


def _secret_digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
