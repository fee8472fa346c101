"""What readers thought of answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'feedback',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('key_id', sa.String(length=32), nullable=False),
        sa.Column('request_id', sa.String(length=128), nullable=False),
        sa.Column('score', sa.Double(), nullable=False),
        sa.Column('comment', sa.Text(), nullable=True),
        sa.Column('assistant', sa.String(length=256), nullable=True),
        sa.Column('release', sa.String(length=80), nullable=True),
        sa.Column('arm', sa.String(length=16), nullable=False),
        sa.Column('overridden', sa.Boolean(), nullable=False),
        sa.Column('asked_at', sa.Double(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('tenant', 'key_id', 'request_id', name=op.f('pk_feedback')),
    )
    op.create_index(
        op.f('ix_feedback_tenant_release_asked_at'),
        'feedback',
        ['tenant', 'release', 'asked_at'],
        unique=False,
    )
    op.create_index(
        op.f('ix_ledger_tenant_request_id'), 'ledger', ['tenant', 'request_id'], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f('ix_ledger_tenant_request_id'), table_name='ledger')
    op.drop_table('feedback')
