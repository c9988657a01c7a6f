"""Counters of limits, and the count of refreshes in their session.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limits"),
    )
    op.create_index("ix_rate_limits_expires_at", "rate_limits", ["expires_at"])
    op.add_column("sessions", sa.Column("window_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "sessions", sa.Column("window_count", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade():
    op.drop_column("sessions", "window_count")
    op.drop_column("sessions", "window_at")
    op.drop_table("rate_limits")
