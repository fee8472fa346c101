"""Evaluations: sets of cases, runs over them, and what was answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'evaluation_sets',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('name', sa.String(length=63), nullable=False),
        sa.Column('hash', sa.String(length=12), nullable=False),
        sa.Column('cases', sa.JSON(), nullable=False),
        sa.Column('count', sa.Integer(), nullable=False),
        sa.Column('guards', sa.Integer(), nullable=False),
        sa.Column('current', sa.Boolean(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('created_by', sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint('tenant', 'name', 'hash', name=op.f('pk_evaluation_sets')),
    )
    op.create_table(
        'evaluations',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('cases', sa.String(length=63), nullable=False),
        sa.Column('dataset_hash', sa.String(length=12), nullable=False),
        sa.Column('assistant', sa.String(length=63), nullable=False),
        sa.Column('baseline', sa.Integer(), nullable=False),
        sa.Column('candidate', sa.Integer(), nullable=False),
        sa.Column('adapter', sa.String(length=80), nullable=True),
        sa.Column('prompt_hash', sa.String(length=12), nullable=False),
        sa.Column('rollout', sa.String(length=32), nullable=True),
        sa.Column('gated_at', sa.Double(), nullable=True),
        sa.Column('repeats', sa.Integer(), nullable=False),
        sa.Column('rules', sa.JSON(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('verdict', sa.String(length=16), nullable=True),
        sa.Column('reason', sa.Text(), nullable=True),
        sa.Column('report', sa.JSON(none_as_null=True), nullable=True),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('created_by', sa.String(length=32), nullable=False),
        sa.Column('finished_at', sa.BigInteger(), nullable=True),
        sa.Column('deadline', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_evaluations')),
    )
    for columns in (
        ['state'],
        ['tenant', 'created_at'],
        ['tenant', 'adapter', 'prompt_hash'],
        ['tenant', 'rollout'],
    ):
        name = op.f('ix_evaluations_' + '_'.join(columns))
        op.create_index(name, 'evaluations', columns, unique=False)
    op.create_table(
        'evaluation_answers',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('evaluation', sa.String(length=32), nullable=False),
        sa.Column('case_id', sa.String(length=128), nullable=False),
        sa.Column('repeat', sa.Integer(), nullable=False),
        sa.Column('baseline', sa.JSON(), nullable=False),
        sa.Column('candidate', sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint(
            'tenant', 'evaluation', 'case_id', 'repeat', name=op.f('pk_evaluation_answers')
        ),
    )


def downgrade() -> None:
    op.drop_table('evaluation_answers')
    op.drop_table('evaluations')
    op.drop_table('evaluation_sets')
