"""Alembic's entry: runs the steps on the connection that it was given."""

from alembic import context

from services.gateway.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
