"""Leases: one process of the cluster at a time does a background task."""

from datetime import datetime, timedelta

from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.clock import now
from pycoder.db.base import Base, UTCDateTime
from pycoder.db.queries import autocommit, insert_into


class Lease(Base):
    """A lease that elects one process in the cluster for a background task."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


def acquire_lease(name: str, holder: str, duration: timedelta) -> bool:
    """Acquire or extend a lease, and return whether ``holder`` has it.

    One conditional statement decides, so that one of many simultaneous processes succeeds. A
    lease that has expired, because its process died, is free.
    """
    lease = {"holder": holder, "expires_at": now() + duration}
    free = (Lease.expires_at <= now()) | (Lease.holder == holder)
    acquired = insert_into(Lease).values(name=name, **lease)
    acquired = acquired.on_conflict_do_update(index_elements=["name"], set_=lease, where=free)
    with autocommit() as connection:
        return connection.execute(acquired.returning(Lease.name)).first() is not None


def release_lease(name: str, holder: str) -> None:
    """Give a lease back before it expires, if ``holder`` has it."""
    held = (Lease.name == name) & (Lease.holder == holder)
    with autocommit() as connection:
        connection.execute(delete(Lease).where(held))
