"""Prune expired rows: sessions, revoked tokens, devices, and old audit events.

Ordinary writes delete a few of them, so that the tables stay bounded without a scheduled job. The
mail worker deletes expired links, and ratelimit/storage.py expired counters.
"""

from datetime import timedelta

from flask import current_app
from sqlalchemy import bindparam, delete, exists, or_, select

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, select_batch
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.device import Device
from pycoder.models.session import PendingIndex, Session, TokenBlocklist
from pycoder.sessions import devices

BATCH = 20  # rows of a table that an ordinary write deletes at most
MARGIN = timedelta(hours=1)  # after expiry, so that a wrong clock deletes nothing that is needed

_EXPIRED = (
    (Session, Session.id, Session.expires_at <= bindparam("expired")),
    (TokenBlocklist, TokenBlocklist.jti, TokenBlocklist.expires_at <= bindparam("expired")),
    (PendingIndex, PendingIndex.idx, PendingIndex.allocated_at <= bindparam("expired")),
    (Device, Device.digest, Device.last_used_at <= bindparam("unused_since")),
    (AuditEvent, AuditEvent.id, AuditEvent.at < bindparam("oldest")),
)
_IS_ANY_EXPIRED = select(or_(*(exists(key).where(over) for _, key, over in _EXPIRED)))
_PRUNE = [delete(model).where(key.in_(select_batch(key, over))) for model, key, over in _EXPIRED]


def prune_some() -> None:
    """Delete a few expired rows in the caller's transaction."""
    _prune(BATCH)


def prune() -> int:
    """Delete all expired rows, a batch a transaction, and return their number."""
    total = 0
    while deleted := _prune(BATCH * 50):
        total += deleted
        db.session.commit()
    db.session.rollback()
    return total


def _prune(batch: int) -> int:
    """Delete up to ``batch`` rows of each table, and return the total."""
    retention = timedelta(days=current_app.config["AUDIT_RETENTION"])
    values = {
        "expired": now() - MARGIN,
        "unused_since": now() - devices.LIFETIME,
        "oldest": now() - retention,
        "batch": batch,
    }
    if not db.session.scalar(_IS_ANY_EXPIRED, values):
        return 0
    return sum(execute_in_transaction(statement, values) for statement in _PRUNE)
