"""Export all accounts."""

from collections.abc import Iterator

from pycoder import audit
from pycoder.accounts import administration
from pycoder.audit import Event
from pycoder.extensions import db
from pycoder.models.user import User


def export_users(*, with_hashes: bool) -> Iterator[tuple[User, bool]]:
    """Record an export, and yield all users, each with whether it has a second factor."""
    reason = "with password hashes" if with_hashes else None
    audit.record(Event.USERS_EXPORTED, reason=reason)
    db.session.commit()
    yield from administration.list_users()
