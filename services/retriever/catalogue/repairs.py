"""What the upkeep needs to know and to note, to keep the index in step with the catalogue."""

from __future__ import annotations

from collections.abc import Collection as Revisions
from collections.abc import Sequence

from sqlalchemy import delete, select, update

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.records import Place, Write, place_of, write_of
from services.retriever.catalogue.statements import at, leave_behind
from services.retriever.catalogue.tables import (
    collections,
    documents,
    leftovers,
    texts,
    writes,
)


class Repairs:
    """Transactions of the upkeep, for one embedding model."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    async def live_chunks(self) -> dict[int, tuple[Place, int]]:
        """Say for each live revision of this model where it is and how many chunks it has."""
        wanted = ("tenant", "collection", "id", "revision", "chunks")
        inside = (collections.c.tenant == documents.c.tenant) & (
            collections.c.name == documents.c.collection
        )
        query = (
            select(*(documents.c[name] for name in wanted))
            .join(collections, inside)
            .where(collections.c.fingerprint == self._fingerprint)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return {row.revision: (place_of(row), row.chunks) for row in rows}

    async def stored(self, place: Place, revision: int) -> Write | None:
        """Read back a live revision as it was written; None when it is live no more."""
        query = (
            select(documents, texts.c.text, texts.c.pages)
            .join(texts, texts.c.revision == documents.c.revision)
            .where(*at(documents, place), documents.c.revision == revision)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else write_of(row)

    async def correct_chunks(self, revision: int, chunks: int) -> None:
        """Note how many chunks a live revision has; those of one that is no more are leftovers."""
        async with self._database.write() as connection:
            this = documents.c.revision == revision
            noted = update(documents).where(this).values(chunks=chunks)
            if not (await connection.execute(noted)).rowcount:
                await leave_behind(connection, revision, self._fingerprint)

    async def leftovers(self, limit: int) -> list[int]:
        """List revisions whose chunks are still to be removed from this model's index."""
        query = select(leftovers.c.revision).where(leftovers.c.fingerprint == self._fingerprint)
        async with self._database.read() as connection:
            return list(await connection.scalars(query.limit(limit)))

    async def forget(self, revisions: Sequence[int]) -> None:
        """Note that the chunks of these revisions are gone."""
        async with self._database.write() as connection:
            await connection.execute(delete(leftovers).where(leftovers.c.revision.in_(revisions)))

    async def disown(self, revisions: Revisions[int]) -> list[int]:
        """Let the chunks of these revisions be removed, unless something here still knows them.

        Returns:
            Those that nothing knows.
        """
        strays = []
        async with self._database.write() as connection:
            for revision in sorted(revisions):
                known = [
                    await connection.scalar(select(table.c.revision).where(this))
                    for table in (documents, writes)
                    for this in (table.c.revision == revision,)
                ]
                if known == [None, None]:
                    strays.append(revision)
                    await leave_behind(connection, revision, self._fingerprint)
        return strays
