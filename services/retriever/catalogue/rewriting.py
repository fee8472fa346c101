"""What is to be written anew from its text, where several processes share the index.

A revision up to the one that was the last when it was asked for is still to be done; what is
written anew gets a higher one. So a killed process's work is gone on with where it stood.
"""

from __future__ import annotations

from collections.abc import Collection as Revisions
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.records import Place, place_of
from services.retriever.catalogue.statements import now
from services.retriever.catalogue.tables import collections, documents, rewritings, writes
from services.retriever.errors import IndexBuilding


@dataclass(frozen=True, slots=True)
class Rewritten:
    """How far the last rewriting is."""

    of: int
    left: int
    failed: int
    started_at: int
    finished_at: int | None


class Rewriting:
    """Transactions about writing every document of one embedding model anew."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint
        self._this = rewritings.c.fingerprint == fingerprint

    async def start(self) -> None:
        """Note that every document is to be written anew.

        Raises:
            IndexBuilding: that is under way.
        """
        last = [func.max(table.c.revision) for table in (documents, writes)]
        async with self._database.write() as connection:
            query = select(rewritings.c.finished_at).where(self._this)
            row = (await connection.execute(query)).one_or_none()
            if row is not None and row.finished_at is None:
                raise IndexBuilding("The index is being made anew already; wait until it is done.")
            up_to = max([await connection.scalar(select(each)) or 0 for each in last])
            of = await connection.scalar(select(func.count()).select_from(self._left(up_to)))
            values = {"up_to": up_to, "of": of, "failed": 0}
            values |= {"started_at": now(), "finished_at": None}
            noted = insert(rewritings).values(fingerprint=self._fingerprint, **values)
            await connection.execute(
                noted.on_conflict_do_update(index_elements=["fingerprint"], set_=values)
            )

    async def read(self) -> Rewritten | None:
        """Say how far the last one is; None when there was none."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(rewritings).where(self._this))).one_or_none()
            if row is None:
                return None
            counted = select(func.count()).select_from(self._left(row.up_to))
            left = 0 if row.finished_at else await connection.scalar(counted) or 0
        return Rewritten(row.of, left, row.failed, row.started_at, row.finished_at)

    async def missing(self, given_up: Revisions[int], limit: int) -> dict[int, Place]:
        """List revisions that are still to be written anew, without those that were given up."""
        async with self._database.read() as connection:
            up_to = await connection.scalar(
                select(rewritings.c.up_to).where(self._this, rewritings.c.finished_at.is_(None))
            )
            if up_to is None:
                return {}
            left = self._left(up_to)
            wanted = select(left).where(left.c.revision.not_in(given_up)).limit(limit)
            rows = await connection.execute(wanted.order_by(left.c.revision))
            return {row.revision: place_of(row) for row in rows}

    async def finish(self, failed: int) -> None:
        """Note that it is done, but for some documents, which stay as they were."""
        done = update(rewritings).where(self._this).values(finished_at=now(), failed=failed)
        async with self._database.write() as connection:
            await connection.execute(done)

    def _left(self, up_to: int) -> Any:
        inside = (collections.c.tenant == documents.c.tenant) & (
            collections.c.name == documents.c.collection
        )
        mine = (documents.c.revision <= up_to, collections.c.fingerprint == self._fingerprint)
        return select(documents).join(collections, inside).where(*mine).subquery()
