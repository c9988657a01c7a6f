"""The index of the status lists, built while everybody goes on writing.

What a build that was interrupted left behind is dropped first.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAME = "ix_sessions_status_idx"


def upgrade():
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "sessions", if_exists=True)
        op.create_index(NAME, "sessions", ["status_idx"], unique=True, postgresql_concurrently=True)


def downgrade():
    op.drop_index(NAME, "sessions")
