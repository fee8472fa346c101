"""What a rollout does before anybody meets its candidate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ('gate', 'shadow'):
        op.add_column('rollouts', sa.Column(name, sa.JSON(none_as_null=True), nullable=True))
    op.add_column('ledger', sa.Column('copy_of', sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column('ledger', 'copy_of')
    for name in ('gate', 'shadow'):
        op.drop_column('rollouts', name)
