"""Prune expired rows: sessions, tokens, proofs, devices, and old audit events.

Ordinary writes delete a few of them, so that the tables stay bounded without a scheduled job. The
mail worker deletes expired links, and ratelimit/storage.py expired counters. The events of deleted
accounts lose their clients in the same way.
"""

from datetime import timedelta

from flask import current_app
from sqlalchemy import bindparam, delete, exists, or_, select, update

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, select_batch
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.device import Device
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import PendingIndex, Session, TokenBlocklist
from pycoder.models.takeover import AdoptedToken, Takeover, TakeoverClosed, TakeoverToken
from pycoder.sessions import devices

BATCH = 20  # rows of a table that an ordinary write deletes at most
MARGIN = timedelta(hours=1)  # after expiry, so that a wrong clock deletes nothing that is needed

_EXPIRED = (
    (Session, Session.id, Session.expires_at <= bindparam("expired")),
    (TokenBlocklist, TokenBlocklist.jti, TokenBlocklist.expires_at <= bindparam("expired")),
    (PendingIndex, PendingIndex.idx, PendingIndex.allocated_at <= bindparam("expired")),
    (Device, Device.digest, Device.last_used_at <= bindparam("unused_since")),
    (
        PendingAuthentication,
        PendingAuthentication.digest,
        PendingAuthentication.expires_at <= bindparam("expired"),
    ),
    (AuditEvent, AuditEvent.id, AuditEvent.at < bindparam("oldest")),
    (Takeover, Takeover.id, Takeover.last_expiry <= bindparam("expired")),
    (TakeoverToken, TakeoverToken.jti, TakeoverToken.expires_at <= bindparam("expired")),
    (AdoptedToken, AdoptedToken.jti, AdoptedToken.expires_at <= bindparam("expired")),
    (TakeoverClosed, TakeoverClosed.user_id, ~exists(select(Takeover.id))),
)
_FORGOTTEN = AuditEvent.forget_at <= bindparam("due")
_IS_ANY_EXPIRED = select(
    or_(*(exists(key).where(over) for _, key, over in _EXPIRED), exists().where(_FORGOTTEN))
)
_PRUNE = [delete(model).where(key.in_(select_batch(key, over))) for model, key, over in _EXPIRED]
_FORGET = (
    update(AuditEvent)
    .where(AuditEvent.id.in_(select_batch(AuditEvent.id, _FORGOTTEN)))
    .values(ip=None, user_agent=None, request_id=None, forget_at=None)
)


def prune_some() -> None:
    """Delete a few expired rows in the caller's transaction."""
    _prune(BATCH)


def prune() -> int:
    """Delete all expired rows, a batch a transaction, and return their number."""
    total = 0
    while any(done := _prune(BATCH * 50)):
        total += done[0]
        db.session.commit()
    db.session.rollback()
    return total


def _prune(batch: int) -> tuple[int, int]:
    """Delete up to ``batch`` rows of each table, and the clients of so many events.

    Returns the number of deleted rows, and of events.
    """
    retention = timedelta(days=current_app.config["AUDIT_RETENTION"])
    due = {"due": now(), "batch": batch}
    values = {
        **due,
        "expired": now() - MARGIN,
        "unused_since": now() - devices.LIFETIME - MARGIN,
        "oldest": now() - retention,
    }
    if not db.session.scalar(_IS_ANY_EXPIRED, values):
        return 0, 0
    deleted = sum(execute_in_transaction(statement, values) for statement in _PRUNE)
    return deleted, execute_in_transaction(_FORGET, due)
