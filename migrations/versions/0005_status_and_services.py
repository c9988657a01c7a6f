"""The place of a session in the status lists, and the services that may ask about tokens.

Sessions that are there have no place yet; each is given one at its next refresh. The index on it
is a revision of its own, because it is built outside a transaction.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("sessions", sa.Column("status_idx", sa.BigInteger(), nullable=True))
    op.create_table(
        "status_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_status_counter"),
    )
    op.create_table(
        "services",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_services"),
    )


def downgrade():
    op.drop_table("services")
    op.drop_table("status_counter")
    op.drop_column("sessions", "status_idx")
