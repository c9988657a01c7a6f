"""Introspection (RFC 7662): services that ask whether a token is good, and who they are."""

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from jwt import InvalidTokenError
from sqlalchemy import bindparam, delete, select

from pycoder import attempts, audit, throttle, tokens
from pycoder.audit import Client, Event
from pycoder.errors import InvalidClient, InvalidInput
from pycoder.extensions import changed, db, insert_into, read
from pycoder.models import Service, now

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
NOT_A_NAME = "Use up to 40 of a-z, 0-9 and . _ -, the first a letter or digit."
TAKEN = "A service with this name exists already."
TOLD = ("sub", "sid", "jti", "iss", "aud", "iat", "exp")

_DIGEST = select(Service.digest).where(Service.name == bindparam("name"))


def create(name: str, *, client: Client) -> str:
    """Add a service, and return its secret, which is stored nowhere; raises ``InvalidInput``."""
    if not NAME.fullmatch(name):
        raise InvalidInput({"name": [NOT_A_NAME]})
    secret = secrets.token_urlsafe(32)
    made = {"name": name, "digest": _digest(secret), "created_at": now()}
    if not changed(insert_into(Service).values(made).on_conflict_do_nothing()):
        raise InvalidInput({"name": [TAKEN]})
    audit.record(Event.SERVICE_CREATED, client, reason=name)
    db.session.commit()
    return secret


def everyone() -> Sequence[Service]:
    """Return all services by name."""
    return db.session.scalars(select(Service).order_by(Service.name)).all()


def remove(name: str, *, client: Client) -> None:
    """Delete a service, which is refused from then on; raises ``InvalidInput``."""
    if not changed(delete(Service).where(Service.name == name)):
        raise InvalidInput({"service": ["There is no such service."]})
    audit.record(Event.SERVICE_DELETED, client, reason=name)
    db.session.commit()


def authenticate(name: str, secret: str, *, client: Client) -> None:
    """Let in a service that has its secret; only refusals are counted, and each is on record.

    A service with its secret is let in also from where others have tried too often: nobody guesses
    256 random bits, and strangers behind the same address are to shut out nobody. Raises
    ``InvalidClient`` and ``TooManyRequests``.
    """
    known = read(_DIGEST, {"name": name}) if NAME.fullmatch(name) else None
    if compare_digest(_digest(secret), known.digest if known else "") and known:
        return
    attempts.limited(throttle.count, "introspect.ip", throttle.network(client.ip), client)
    reason = "wrong secret" if known else "unknown service" if name else "no credentials"
    audit.record(Event.SERVICE_REFUSED, client, reason=reason)
    db.session.commit()
    raise InvalidClient


def introspect(token: str) -> dict[str, Any]:
    """Tell what a good access token says; of everything else, that it is not active.

    A refresh token is shown to nobody but us, so for a service it is none: who takes one for an
    access token learns it here. Asking uses nothing up.
    """
    try:
        claims = tokens.decode(token, "access")
    except InvalidTokenError:
        return {"active": False}
    standing = tokens.standing(claims)
    if not (standing and standing.is_good(claims)):
        return {"active": False}
    told = {name: claims[name] for name in TOLD}
    return {"active": True, "token_type": "Bearer", "username": standing.username, **told}


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
