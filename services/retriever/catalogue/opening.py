"""The catalogue as one thing that the process owns."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from services.chassis.database import BUSY_SECONDS, open_engine
from services.chassis.sqlite import prepare_sqlite
from services.retriever.catalogue.batches import Batches
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.glances import Glances
from services.retriever.catalogue.repairs import Repairs
from services.retriever.catalogue.versions import SCHEMA, bring_up_to_date
from services.retriever.catalogue.writes import Writes
from services.retriever.errors import CatalogueUnavailable

_WRITER_LOCK = 0x1A_2B_57_0F


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is stored, what is being written, and what is to be put right."""

    documents: Documents
    writes: Writes
    batches: Batches
    repairs: Repairs


def catalogue_over(database: Database, fingerprint: str, member: str) -> Catalogue:
    """Make the catalogue of one embedding model, for one of the processes that share it."""
    return Catalogue(
        documents=Documents(database, fingerprint),
        writes=Writes(database, fingerprint, member),
        batches=Batches(database, fingerprint, member),
        repairs=Repairs(database, fingerprint),
    )


@contextlib.asynccontextmanager
async def open_database(url: str, *, connections: int = 10) -> AsyncIterator[Database]:
    """Open the catalogue; a new one gets its tables, an older one what it lacks.

    Raises:
        CatalogueTooNewError: a later release has written it.
        CatalogueUnavailable: it cannot be reached.
    """
    async with open_engine(url, connections=connections, schema=SCHEMA) as engine:
        with _glancing_at(engine) as database:
            async with database.write() as connection:
                await connection.run_sync(bring_up_to_date)
            yield database


@contextlib.contextmanager
def _glancing_at(engine: AsyncEngine) -> Iterator[Database]:
    if engine.dialect.name != "sqlite":
        yield Database(engine, _WRITER_LOCK, _away)
        return
    glancing = create_engine(engine.url.set(drivername="sqlite"), max_overflow=-1)
    prepare_sqlite(glancing, busy_seconds=BUSY_SECONDS)
    glances = Glances(glancing)
    try:
        yield Database(engine, _WRITER_LOCK, _away, glances=glances)
    finally:
        glances.close()


def _away() -> CatalogueUnavailable:
    return CatalogueUnavailable("The catalogue cannot be reached; try again shortly.")
