"""Bringing the registry's schema up to date; safe while other gateways start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from services.gateway.registry.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Apply the steps that are missing, all or none; whoever comes second finds nothing to do."""
    async with database.write() as connection:
        await connection.run_sync(_upgrade)


def alembic_config(connection: Connection) -> Config:
    """Make Alembic's configuration for a connection that is already in a transaction."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(alembic_config(connection), "head")
