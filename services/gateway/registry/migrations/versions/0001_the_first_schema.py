"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('adapters',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('id', sa.String(length=80), nullable=False),
    sa.Column('name', sa.String(length=63), nullable=False),
    sa.Column('content_hash', sa.String(length=64), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('target_modules', sa.JSON(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=32), nullable=False),
    sa.Column('wanted_until', sa.BigInteger(), nullable=False),
    sa.Column('manifest', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_adapters'))
    )
    op.create_index(op.f('ix_adapters_id'), 'adapters', ['id'], unique=False)
    op.create_table('assistants',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('name', sa.String(length=63), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('stable', sa.Integer(), nullable=True),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'name', name=op.f('pk_assistants'))
    )
    op.create_table('events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('subject', sa.String(length=160), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('request_id', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_events'))
    )
    op.create_index(op.f('ix_events_tenant_id'), 'events', ['tenant', 'id'], unique=False)
    op.create_table('idempotency',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('reply', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'key', name=op.f('pk_idempotency'))
    )
    op.create_index(op.f('ix_idempotency_created_at'), 'idempotency', ['created_at'], unique=False)
    op.create_table('keys',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('groups', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.Column('revoked_at', sa.BigInteger(), nullable=True),
    sa.Column('last_used_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_keys'))
    )
    op.create_index(op.f('ix_keys_tenant'), 'keys', ['tenant'], unique=False)
    op.create_table('ledger',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('at', sa.Double(), nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('key_id', sa.String(length=32), nullable=False),
    sa.Column('request_id', sa.String(length=128), nullable=False),
    sa.Column('assistant', sa.String(length=256), nullable=True),
    sa.Column('release', sa.String(length=80), nullable=True),
    sa.Column('arm', sa.String(length=16), nullable=False),
    sa.Column('adapter', sa.String(length=80), nullable=True),
    sa.Column('replica', sa.String(length=63), nullable=True),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.String(length=16), nullable=True),
    sa.Column('error_code', sa.String(length=64), nullable=True),
    sa.Column('prompt_tokens', sa.Integer(), nullable=False),
    sa.Column('cached_tokens', sa.Integer(), nullable=False),
    sa.Column('completion_tokens', sa.Integer(), nullable=False),
    sa.Column('cost_usd', sa.Double(), nullable=False),
    sa.Column('admit_ms', sa.Double(), nullable=False),
    sa.Column('retrieve_ms', sa.Double(), nullable=False),
    sa.Column('compose_ms', sa.Double(), nullable=False),
    sa.Column('first_token_ms', sa.Double(), nullable=False),
    sa.Column('generate_ms', sa.Double(), nullable=False),
    sa.Column('total_ms', sa.Double(), nullable=False),
    sa.Column('passages', sa.Integer(), nullable=False),
    sa.Column('cited', sa.Integer(), nullable=False),
    sa.Column('invalid_citations', sa.Integer(), nullable=False),
    sa.Column('corpus_revision', sa.BigInteger(), nullable=True),
    sa.Column('streamed', sa.Boolean(), nullable=False),
    sa.Column('disconnected', sa.Boolean(), nullable=False),
    sa.Column('overridden', sa.Boolean(), nullable=False),
    sa.Column('caller_system', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger'))
    )
    op.create_index(op.f('ix_ledger_tenant_at'), 'ledger', ['tenant', 'at'], unique=False)
    op.create_index(op.f('ix_ledger_tenant_release_at'), 'ledger', ['tenant', 'release', 'at'], unique=False)
    op.create_table('registry_revision',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_registry_revision'))
    )
    op.bulk_insert(
        sa.table('registry_revision', sa.column('subject', sa.String), sa.column('revision', sa.BigInteger)),
        [{'subject': subject, 'revision': 0} for subject in ('keys', 'assistants', 'adapters', 'replicas')],
    )
    op.create_table('releases',
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('assistant', sa.String(length=63), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=32), nullable=False),
    sa.Column('profile', sa.JSON(), nullable=False),
    sa.Column('profile_hash', sa.String(length=12), nullable=False),
    sa.Column('retrieval', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('adapter', sa.String(length=80), nullable=True),
    sa.Column('evidence', sa.String(length=16), nullable=False),
    sa.Column('prompt_mismatch', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'assistant', 'number', name=op.f('pk_releases'))
    )
    op.create_table('replicas',
    sa.Column('replica', sa.String(length=63), nullable=False),
    sa.Column('report', sa.JSON(), nullable=False),
    sa.Column('last_heartbeat_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('replica', name=op.f('pk_replicas'))
    )
    op.create_table('key_secrets',
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('key_id', sa.String(length=32), nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['key_id'], ['keys.id'], name=op.f('fk_key_secrets_key_id')),
    sa.PrimaryKeyConstraint('hash', name=op.f('pk_key_secrets'))
    )
    op.create_index(op.f('ix_key_secrets_key_id'), 'key_secrets', ['key_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_key_secrets_key_id'), table_name='key_secrets')
    op.drop_table('key_secrets')
    op.drop_table('replicas')
    op.drop_table('releases')
    op.drop_table('registry_revision')
    op.drop_index(op.f('ix_ledger_tenant_release_at'), table_name='ledger')
    op.drop_index(op.f('ix_ledger_tenant_at'), table_name='ledger')
    op.drop_table('ledger')
    op.drop_index(op.f('ix_keys_tenant'), table_name='keys')
    op.drop_table('keys')
    op.drop_index(op.f('ix_idempotency_created_at'), table_name='idempotency')
    op.drop_table('idempotency')
    op.drop_index(op.f('ix_events_tenant_id'), table_name='events')
    op.drop_table('events')
    op.drop_table('assistants')
    op.drop_index(op.f('ix_adapters_id'), table_name='adapters')
    op.drop_table('adapters')
