"""The catalogue as one thing that the process owns."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from services.chassis.sqlite import prepare_sqlite
from services.retriever.catalogue.batches import Batches
from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.repairs import Repairs
from services.retriever.catalogue.tables import Database
from services.retriever.catalogue.versions import bring_up_to_date
from services.retriever.catalogue.writes import Writes

BUSY_SECONDS = 10
"""How long a statement waits for another process's transaction."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is stored, what is being written, and what is to be put right."""

    documents: Documents
    writes: Writes
    batches: Batches
    repairs: Repairs


def catalogue_over(database: Database, fingerprint: str) -> Catalogue:
    """Make the catalogue of one embedding model."""
    return Catalogue(
        documents=Documents(database, fingerprint),
        writes=Writes(database, fingerprint),
        batches=Batches(database, fingerprint),
        repairs=Repairs(database, fingerprint),
    )


@contextlib.asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the SQLite catalogue; a new file gets its tables, an older one what it lacks.

    Raises:
        CatalogueTooNewError: a later release has written the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    glancing = create_engine(f"sqlite:///{path}", max_overflow=-1)
    for each in (engine.sync_engine, glancing):
        prepare_sqlite(each, busy_seconds=BUSY_SECONDS)
    try:
        database = Database(engine, glancing)
        async with database.write() as connection:
            await connection.run_sync(bring_up_to_date)
        yield database
    finally:
        glancing.dispose()
        await engine.dispose()
