"""Files and vector stores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('files',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('filename', sa.Text(), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=32), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_files'))
    )
    op.create_index(op.f('ix_files_state'), 'files', ['state'], unique=False)
    op.create_index(op.f('ix_files_expires_at'), 'files', ['expires_at'], unique=False)
    op.create_index(
        op.f('ix_files_tenant_created_at'), 'files', ['tenant', 'created_at'], unique=False
    )
    op.create_table('vector_stores',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('id', sa.String(length=63), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('removed_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_vector_stores'))
    )
    op.create_table('vector_store_files',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('store', sa.String(length=63), nullable=False),
    sa.Column('file_id', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('todo', sa.String(length=8), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('attributes', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('error_code', sa.String(length=32), nullable=True),
    sa.Column('error_message', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('lease', sa.String(length=32), nullable=True),
    sa.Column('lease_until', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'store', 'file_id', name=op.f('pk_vector_store_files'))
    )
    op.create_index(
        op.f('ix_vector_store_files_file_id'), 'vector_store_files', ['file_id'], unique=False
    )
    op.create_index(op.f('ix_vector_store_files_todo'), 'vector_store_files', ['todo'], unique=False)
    op.create_index(
        op.f('ix_vector_store_files_tenant_store_created_at'), 'vector_store_files',
        ['tenant', 'store', 'created_at'], unique=False,
    )
    op.create_table('file_batches',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('store', sa.String(length=63), nullable=False),
    sa.Column('file_ids', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('cancelled', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_file_batches'))
    )


def downgrade() -> None:
    op.drop_table('file_batches')
    op.drop_table('vector_store_files')
    op.drop_table('vector_stores')
    op.drop_table('files')
