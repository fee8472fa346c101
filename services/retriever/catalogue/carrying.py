"""Collections on their way from one embedding model to another."""

from __future__ import annotations

from collections.abc import Collection as Fingerprints
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.records import Place, place_of
from services.retriever.catalogue.statements import count_change, within
from services.retriever.catalogue.tables import (
    carried,
    collections,
    documents,
    leftovers,
    writes,
)


@dataclass(frozen=True, slots=True)
class Former:
    """A collection that another model built."""

    tenant: str
    name: str
    fingerprint: str


class Carrying:
    """Transactions that bring collections to one embedding model."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    async def fingerprint_of(self, tenant: str, collection: str) -> str | None:
        """Name the model that built a collection; None when there is no such collection."""
        query = select(collections.c.fingerprint).where(
            collections.c.tenant == tenant, collections.c.name == collection
        )
        async with self._database.read() as connection:
            return await connection.scalar(query)

    async def former(self) -> list[Former]:
        """List the collections that other models built."""
        query = (
            select(collections)
            .where(collections.c.fingerprint != self._fingerprint)
            .order_by(collections.c.created_at, collections.c.tenant, collections.c.name)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [Former(row.tenant, row.name, row.fingerprint) for row in rows]

    async def progress(self) -> tuple[int, int]:
        """Count the documents that were carried and those that are to be, all together."""
        theirs = and_(
            collections.c.tenant == documents.c.tenant,
            collections.c.name == documents.c.collection,
            collections.c.fingerprint != self._fingerprint,
        )
        query = (
            select(func.count(carried.c.revision), func.count(documents.c.revision))
            .select_from(documents)
            .join(collections, theirs)
            .join(carried, self._is_carried(), isouter=True)
        )
        async with self._database.read() as connection:
            done, of = (await connection.execute(query)).one()
            return done, of

    async def missing(self, former: Former, limit: int) -> dict[int, Place]:
        """List live revisions of a collection that are still to be carried."""
        query = select(documents).where(
            *within(documents, former.tenant, former.name),
            ~exists().where(self._is_carried()),
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query.limit(limit))
            return {row.revision: place_of(row) for row in rows}

    async def record(self, revision: int, chunks: int) -> None:
        """Note that this model's index holds a revision."""
        row = {"fingerprint": self._fingerprint, "revision": revision, "chunks": chunks}
        noted = insert(carried).values(row)
        async with self._database.write() as connection:
            await connection.execute(
                noted.on_conflict_do_update(
                    index_elements=["fingerprint", "revision"], set_={"chunks": chunks}
                )
            )

    async def forget_lost(self, found: Mapping[int, int]) -> None:
        """Forget revisions that were carried and that the index lost since, or nobody needs."""
        mine = carried.c.fingerprint == self._fingerprint
        async with self._database.write() as connection:
            rows = (await connection.execute(select(carried).where(mine))).all()
            for row in rows:
                if found.get(row.revision) != row.chunks:
                    this = carried.c.revision == row.revision
                    await connection.execute(delete(carried).where(mine, this))
            live = exists().where(documents.c.revision == carried.c.revision)
            await connection.execute(delete(carried).where(~live))

    async def switch(self, former: Former) -> bool:
        """Let a collection be this model's, if nothing of it is missing or under way."""
        here = within(documents, former.tenant, former.name)
        lacking = select(documents.c.revision).where(*here, ~exists().where(self._is_carried()))
        begun = select(writes.c.revision).where(*within(writes, former.tenant, former.name))
        counted = select(carried.c.chunks).where(self._is_carried()).scalar_subquery()
        gone = carried.c.revision.in_(select(documents.c.revision).where(*here))
        this = (collections.c.tenant == former.tenant, collections.c.name == former.name)
        async with self._database.write() as connection:
            for query in (lacking, begun):
                if (await connection.execute(query.limit(1))).first() is not None:
                    return False
            await connection.execute(update(documents).where(*here).values(chunks=counted))
            theirs = update(collections).where(*this).values(fingerprint=self._fingerprint)
            await connection.execute(theirs)
            await connection.execute(delete(carried).where(gone))
            await count_change(connection, former.tenant)
            return True

    async def adopt_writes(self, open_models: Fingerprints[str]) -> None:
        """Take over writes that were under way with a model that is not there any more."""
        orphaned = writes.c.fingerprint.not_in(open_models)
        async with self._database.write() as connection:
            adopted = update(writes).where(orphaned).values(fingerprint=self._fingerprint)
            await connection.execute(adopted)

    async def forget_models(self, open_models: Fingerprints[str]) -> set[str]:
        """Name the models that nothing was built with any more, and drop what is left of them."""
        async with self._database.write() as connection:
            used = {*await connection.scalars(select(collections.c.fingerprint)), *open_models}
            unused = leftovers.c.fingerprint.not_in(used)
            await connection.execute(delete(leftovers).where(unused))
            return used

    def _is_carried(self) -> Any:
        return and_(
            carried.c.revision == documents.c.revision,
            carried.c.fingerprint == self._fingerprint,
        )
