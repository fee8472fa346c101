"""Versions of what several operators change, and the time between an answer's tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

_VERSIONED = ('keys', 'adapters', 'training_jobs', 'vector_stores', 'evaluation_sets')


def upgrade() -> None:
    for table in _VERSIONED:
        # The default is for gateways of the version before, while they are replaced.
        column = sa.Column('version', sa.Integer(), nullable=False, server_default='1')
        op.add_column(table, column)
    op.add_column('ledger', sa.Column('inter_token_ms', sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column('ledger', 'inter_token_ms')
    for table in _VERSIONED:
        op.drop_column(table, 'version')
