"""Bringing the registry's schema up to date; safe while other gateways start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from services.gateway.registry.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Apply the steps that are missing, all or none; whoever comes second finds nothing to do."""
    async with database.write() as connection:
        await connection.run_sync(_upgrade)


async def go_back(database: Database, revision: str) -> None:
    """Undo the steps after a revision, all or none, for a release that does not know them.

    What only the later steps have room for is lost. Gateways that run meanwhile go on answering.

    Args:
        revision: one of `versions/`, such as `0009`, or `-1` for the one before the present one.
    """

    def downgrade(connection: Connection) -> None:
        command.downgrade(alembic_config(connection), revision)

    async with database.write() as connection:
        await connection.run_sync(downgrade)


async def revision_of(database: Database) -> str | None:
    """Read which revision the schema has; None for a database without tables of ours."""
    async with database.read() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )


def alembic_config(connection: Connection) -> Config:
    """Make Alembic's configuration for a connection that is already in a transaction."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(alembic_config(connection), "head")
