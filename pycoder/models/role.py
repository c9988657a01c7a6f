"""The model of roles: flat names, which services map to what their users may do."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime
from pycoder.extensions import db

ADMIN = "admin"  # the one role that PyCoder itself has a use for
ROLE_LENGTH = 40
ROLE_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,39}\Z", re.ASCII)


class RoleNames(TypeDecorator[list[str]]):
    """The roles of a user: stored in rows, read as one sorted list."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> list[str]:
        """Return the names of a text in which they are separated by spaces."""
        return sorted(value.split()) if value else []


class UserRole(Base):
    """A role of a user.

    ``granted_by`` is the id of an administrator, or ``None`` for the operator.
    """

    __tablename__ = "user_roles"
    __table_args__ = (Index("ix_user_roles_role_user_id", "role", "user_id"),)

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(ROLE_LENGTH), primary_key=True)
    granted_by: Mapped[int | None] = mapped_column(BigInteger)
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


# Without a bound value, so that db/prepared.py can prepare it.
_SEPARATOR: Any = literal_column("' '")
ROLES = type_coerce(func.aggregate_strings(UserRole.role, _SEPARATOR), RoleNames)


def roles_of(user_id: int) -> list[str]:
    """Return the roles of a user, sorted, in the caller's transaction."""
    return db.session.execute(select(ROLES).where(UserRole.user_id == user_id)).scalar_one()
