"""Pruning: rows that protect nothing any more, because every token they speak of has expired.

Ordinary writes take a few with them, so that the store stays bounded without a cleaning job.
"""

from datetime import timedelta

from flask import current_app
from sqlalchemy import bindparam, delete, exists, or_, select

from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction, select_batch
from pycoder.extensions import db
from pycoder.models.audit import AuditEvent
from pycoder.models.session import Session, TokenBlocklist

BATCH = 20  # rows of a table that an ordinary write takes with it

_EXPIRED = (
    (Session, Session.id, Session.expires_at <= bindparam("at")),
    (TokenBlocklist, TokenBlocklist.jti, TokenBlocklist.expires_at <= bindparam("at")),
    (AuditEvent, AuditEvent.id, AuditEvent.at < bindparam("kept_since")),
)
_IS_ANY_EXPIRED = select(or_(*(exists(key).where(over) for _, key, over in _EXPIRED)))
_PRUNE = [delete(model).where(key.in_(select_batch(key, over))) for model, key, over in _EXPIRED]


def prune_some() -> None:
    """Delete a few rows in the caller's transaction."""
    _prune(BATCH)


def prune() -> int:
    """Delete all that is over, a batch a transaction; return how many rows."""
    total = 0
    while deleted := _prune(BATCH * 50):
        total += deleted
        db.session.commit()
    db.session.rollback()
    return total


def _prune(batch: int) -> int:
    """Delete up to ``batch`` rows of each table; return how many in all."""
    retention = timedelta(days=current_app.config["AUDIT_RETENTION"])
    values = {"at": now(), "kept_since": now() - retention, "batch": batch}
    if not db.session.scalar(_IS_ANY_EXPIRED, values):
        return 0
    return sum(execute_in_transaction(statement, values) for statement in _PRUNE)
