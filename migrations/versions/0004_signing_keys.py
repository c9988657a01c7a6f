"""The keys that sign tokens, encrypted.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "signing_keys",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("signs_from", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_signing_keys"),
        sa.UniqueConstraint("kid", name="uq_signing_keys_kid"),
    )
    # sessions that are there were signed with the key that is derived from SECRET_KEY
    op.execute(
        "INSERT INTO signing_keys (number, kid, algorithm, created_at, signs_from)"
        " SELECT 0, 'derived', 'HS256', CURRENT_TIMESTAMP, '1970-01-01 00:00:00'"
        " WHERE EXISTS (SELECT 1 FROM sessions)"
    )


def downgrade():
    op.drop_table("signing_keys")
