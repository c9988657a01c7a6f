"""The directory: accounts and events as an administrator looks them up.

The lists are read by key, a page at a time, so that every page costs the same (keyset pagination).
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, or_, select

from pycoder import audit
from pycoder.accounts.identifiers import trim_identifier
from pycoder.errors import NotFound
from pycoder.extensions import db
from pycoder.mfa import factors
from pycoder.models.role import UserRole
from pycoder.models.user import User, normalize_identifier
from pycoder.passwords.hashing import NO_PASSWORD
from pycoder.sessions.lifecycle import active_sessions
from pycoder.tokens.state import UserState

LAST_CHARACTER = "\U0010ffff"  # which no identifier contains
FEW = 1000  # matches of a search that are sorted by id
EVENTS_SHOWN = 50


class Page(NamedTuple):
    """A page of a list, and the ``after`` of the next page, or ``None`` at the end."""

    items: Sequence[Any]
    next: int | None


def list_users(
    *, q: str = "", role: str | None = None, active: bool | None = None, after: int, limit: int
) -> Page:
    """Return a page of the accounts with an id above ``after``, ordered by id.

    ``q`` is an id, or the beginning of an address or username.
    """
    key: Any = User.id if role is None else UserRole.user_id
    found = _people().where(key > after).order_by(key).limit(limit + 1)
    if role is not None:
        found = found.join(UserRole, UserRole.user_id == User.id).where(UserRole.role == role)
    if active is not None:
        found = found.where(User.is_active if active else ~User.is_active)
    if q := trim_identifier(q):
        found = found.where(_matches(q))
    return _page(db.session.execute(found).all(), limit)


def _people() -> Select[Any]:
    """Return the SELECT of what administrators see of accounts.

    No hash leaves the database.
    """
    return select(
        *(getattr(User, name) for name in UserState._fields),
        (User.password_hash != NO_PASSWORD).label("has_password"),
        factors.has_factor().label("second_factor"),
    )


def _matches(q: str) -> ColumnElement[bool]:
    """Return the condition that ``q`` is the id of an account, or begins its name.

    A range of each unique key is read. User input is no pattern, so that ``%`` has no meaning. To
    sort the matches of a short beginning by id would take longest where it finds most. Therefore
    more than ``FEW`` matches are not sorted: the accounts are read by id until the page is full.
    """
    if re.fullmatch(r"[0-9]{1,18}", q):  # digits are always an id
        return User.id == int(q)
    first = normalize_identifier(q)
    last = first + LAST_CHARACTER
    ranges = [
        select(User.id).where(key >= first, key < last).limit(FEW + 1)
        for key in (User.email_key, User.username_key)
    ]
    ids = {user_id for each in ranges for user_id in db.session.scalars(each)}
    if len(ids) <= FEW:
        return User.id.in_(ids)
    keys = User.email_key.concat(""), User.username_key.concat("")  # which no index has
    return or_(*((key >= first) & (key < last) for key in keys))


def _page(rows: Sequence[Any], limit: int) -> Page:
    """Return a page of rows, of which one more than ``limit`` was asked for."""
    items = rows[:limit]
    return Page(items, items[-1].id if len(rows) > limit else None)


def describe_user(user_id: int) -> Row[Any]:
    """Return what administrators see of an account in lists. Raises ``NotFound``."""
    row = db.session.execute(_people().where(User.id == user_id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def show_user(user_id: int) -> dict[str, Any]:
    """Return an account with its factors, active sessions and latest events.

    Raises ``NotFound``.
    """
    return {
        **describe_user(user_id)._asdict(),
        "factors": factors.methods_of(user_id),
        "sessions": active_sessions(user_id),
        "events": audit.latest_events(EVENTS_SHOWN, user_id),
    }


def list_events(*, user: int | None, event: str | None, after: int | None, limit: int) -> Page:
    """Return a page of the events with an id below ``after``, newest first."""
    rows = audit.list_events(limit + 1, before=after, user_id=user, event=event)
    return _page(rows, limit)
