"""The model of the audit trail."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from pycoder.client_info import USER_AGENT_LENGTH
from pycoder.clock import now
from pycoder.db.base import Base, BigId, UTCDateTime

_SET = text("forget_at IS NOT NULL")
_BY_ADMIN = text("actor_id IS NOT NULL")


class AuditEvent(Base):
    """A security event.

    It outlives its user and session, so neither is a foreign key. ``actor_id`` is the administrator
    that caused it. After ``forget_at``, which is set when its user is deleted, it is kept without
    its client.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_user_id_id", "user_id", "id"),
        Index("ix_audit_events_event_id", "event", "id"),
        Index("ix_audit_events_forget_at", "forget_at", sqlite_where=_SET, postgresql_where=_SET),
        Index(
            "ix_audit_events_actor_id",
            "actor_id",
            sqlite_where=_BY_ADMIN,
            postgresql_where=_BY_ADMIN,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)
    event: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str | None] = mapped_column(String(40))
    user_id: Mapped[int | None] = mapped_column(BigInteger)
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_LENGTH))
    request_id: Mapped[str | None] = mapped_column(String(128))
    forget_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
