"""Finish the restoration of a backup: nothing is revived or given twice.

Sessions that ended after the backup are active in it, and links that were used are valid. Its
counters would give ids and places in the status lists to other users than before the loss, and
services that verify tokens offline would take a token of the one for a token of the other.
"""

from typing import Any

from sqlalchemy import Delete, Update, delete, select, true, update

from pycoder import audit
from pycoder.audit import Event
from pycoder.clock import now
from pycoder.db.queries import execute_in_transaction
from pycoder.db.revision import is_up_to_date
from pycoder.db.sequences import advance_ids
from pycoder.errors import MigrationsPending
from pycoder.extensions import db
from pycoder.keys import rotation
from pycoder.mail import links
from pycoder.mail.queue import WITH_LINK
from pycoder.mfa import challenges, totp
from pycoder.models.device import Device
from pycoder.models.mail import OneTimeToken, OutgoingMail
from pycoder.models.mfa import Totp
from pycoder.models.pending_authentication import PendingAuthentication
from pycoder.models.session import PendingIndex, Session
from pycoder.models.takeover import Takeover, TakeoverToken
from pycoder.tokens import status_list

BATCH = 1000  # rows that one transaction changes
GAP = 1_000_000  # more accounts, logins and events than there were between the backup and the loss

DELETED: tuple[tuple[Any, Any], ...] = (
    (Takeover.id, true()),  # tokens that were traded since the backup could be traded again
    (TakeoverToken.jti, true()),
    (OneTimeToken.digest, OneTimeToken.purpose.not_in(links.OF_OWNERS)),
    (PendingAuthentication.digest, PendingAuthentication.kind != challenges.USED),
    (PendingIndex.idx, true()),
    (OutgoingMail.id, OutgoingMail.template.in_(WITH_LINK)),
)


def finish_restoration(gap: int = GAP) -> int:
    """Prepare a restored database to be served. Return the number of ended sessions.

    All tokens, links and present codes of authenticator apps become invalid, every device needs the
    second factor again, and ids and indexes go on after a gap. Sessions, links and mails are
    changed in batches, and the event is recorded at the end. After a crash, repeat the
    call. Raises ``MigrationsPending``.
    """
    if not is_up_to_date():
        raise MigrationsPending
    advance_ids(gap)
    status_list.skip_indexes(gap)
    rotation.replace_keys()
    db.session.commit()
    active = Session.revoked_at.is_(None)
    ended = _in_batches(update(Session).values(revoked_at=now()), Session.id, active)
    for key, condition in DELETED:
        _in_batches(delete(key.class_), key, condition)
    is_remembered = Device.remembered_until.is_not(None)
    _in_batches(update(Device).values(remembered_until=None), Device.digest, is_remembered)
    step = totp.last_accepted_step()
    _in_batches(update(Totp).values(last_step=step), Totp.user_id, Totp.last_step < step)
    audit.record(Event.SYSTEM_RESTORED)
    db.session.commit()
    return ended


def _in_batches(statement: Update | Delete, key: Any, condition: Any) -> int:
    """Change the rows of a condition in batches, and return their number."""
    batch, changed = select(key).order_by(key).limit(BATCH), 0
    keys = db.session.scalars(batch).all()
    while keys:
        change = statement.where(key.between(keys[0], keys[-1]), condition)
        changed += execute_in_transaction(change)
        db.session.commit()
        keys = db.session.scalars(batch.where(key > keys[-1])).all()
    return changed
