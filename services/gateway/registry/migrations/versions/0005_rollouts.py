"""Rollouts, and leases of work that one gateway does for all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

_REVISIONS = sa.table(
    'registry_revision', sa.column('subject', sa.String), sa.column('revision', sa.BigInteger)
)


def upgrade() -> None:
    op.create_table(
        'rollouts',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('assistant', sa.String(length=63), nullable=False),
        sa.Column('strategy', sa.String(length=16), nullable=False),
        sa.Column('stable', sa.Integer(), nullable=False),
        sa.Column('candidate', sa.Integer(), nullable=False),
        sa.Column('steps', sa.JSON(), nullable=False),
        sa.Column('analysis', sa.JSON(none_as_null=True), nullable=True),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('step', sa.Integer(), nullable=False),
        sa.Column('held', sa.String(length=16), nullable=True),
        sa.Column('reason', sa.Text(), nullable=True),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('created_by', sa.String(length=32), nullable=False),
        sa.Column('serving_since', sa.Double(), nullable=True),
        sa.Column('entered_at', sa.Double(), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_rollouts')),
    )
    op.create_index(
        op.f('ix_rollouts_tenant_assistant_created_at'),
        'rollouts',
        ['tenant', 'assistant', 'created_at'],
        unique=False,
    )
    op.create_index(op.f('ix_rollouts_state'), 'rollouts', ['state'], unique=False)
    op.create_table(
        'leases',
        sa.Column('name', sa.String(length=32), nullable=False),
        sa.Column('holder', sa.String(length=64), nullable=False),
        sa.Column('until', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_leases')),
    )
    op.bulk_insert(_REVISIONS, [{'subject': 'rollouts', 'revision': 0}])


def downgrade() -> None:
    op.execute(_REVISIONS.delete().where(_REVISIONS.c.subject == 'rollouts'))
    op.drop_table('leases')
    op.drop_table('rollouts')
