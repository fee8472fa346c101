"""Ingestion jobs as a worker sees them: claimed with a lease, worked on, settled, released.

Whatever a worker writes to a job it writes on condition that the lease is still its own, so that a
worker that was held up cannot undo what its successor did.
"""

from __future__ import annotations

import time
from collections.abc import Collection as Numbers
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, case, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.job_records import Claim, Item, Settled, item_of
from services.retriever.catalogue.job_tables import job_items, jobs, origins
from services.retriever.catalogue.statements import now, within
from services.retriever.catalogue.tables import documents
from services.retriever.parsing.outcomes import FileCode


class LeaseLostError(Exception):
    """The job is another worker's by now, or it was deleted."""


class Leases:
    """Transactions of workers."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    async def claim(self, worker: str) -> Claim | None:
        """Take the job whose turn it is; None when nothing is to be done.

        Tenants with fewer jobs under way come first, then jobs that have waited longest.
        """
        query = _claimable()
        async with self._database.read() as connection:
            if (await connection.execute(query)).first() is None:
                return None
        async with self._database.write() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            clock = time.time()
            values = {
                "status": "running",
                "worker": worker,
                "claimed_at": clock,
                "lease_until": clock + self._lease_seconds,
            }
            this = jobs.c.number == row.number
            await connection.execute(update(jobs).where(this).values(values))
        return Claim(
            row.number,
            row.id,
            worker,
            row.tenant,
            row.collection,
            row.source,
            row.metadata,
            row.allowed_groups,
        )

    async def renew(self, claim: Claim) -> bool:
        """Keep a job for another while; tell whether it is still to be worked on.

        Raises:
            LeaseLostError: it is somebody else's.
        """
        async with self._database.write() as connection:
            return await self.hold(connection, claim)

    async def release(self, claim: Claim, *, again_in_seconds: float = 0.0) -> None:
        """Give a job back, to be claimed again at the earliest when the time is over."""
        mine = _held_by(claim)
        until = time.time() + again_in_seconds if again_in_seconds else 0.0
        status = case((jobs.c.status == "running", "queued"), else_=jobs.c.status)
        given_back = {"worker": None, "lease_until": until, "status": status}
        async with self._database.write() as connection:
            await connection.execute(update(jobs).where(mine).values(given_back))

    async def waiting(self, claim: Claim, taken: Numbers[int], limit: int) -> list[Item]:
        """List items whose turn has come; removals come when every file is done."""
        mine = job_items.c.job == claim.job
        query = select(job_items).where(
            mine, job_items.c.state == "waiting", job_items.c.number.not_in(taken)
        )
        undone = exists().where(
            mine, job_items.c.state.in_(("waiting", "awaiting")), job_items.c.removes == 0
        )
        async with self._database.read() as connection:
            removes = 0 if await connection.scalar(select(undone)) else 1
            query = query.where(job_items.c.removes == removes)
            rows = await connection.execute(query.order_by(job_items.c.number).limit(limit))
            return [item_of(row) for row in rows]

    async def others_wait(self, claim: Claim) -> bool:
        """Tell whether another job could be worked on instead."""
        async with self._database.read() as connection:
            row = (await connection.execute(_claimable())).first()
            return row is not None and row.number != claim.job

    async def known(self, claim: Claim, items: Sequence[Item]) -> dict[str, tuple[int, int, str]]:
        """Find the documents of items that came from a file.

        Returns:
            By id: the live revision, its chunks, and the file's hash.
        """
        async with self._database.read() as connection:
            here = within(documents, claim.tenant, claim.collection)
            query = live_origins().where(
                *here, documents.c.id.in_([item.document_id for item in items])
            )
            rows = await connection.execute(query)
            return {row.id: (row.revision, row.chunks, row.file_hash) for row in rows}

    async def settle(
        self,
        connection: AsyncConnection,
        claim: Claim,
        settled: Sequence[Settled],
        active_seconds: float,
    ) -> bool:
        """Note what became of items; tell whether the job is still to be worked on.

        Raises:
            LeaseLostError: it is somebody else's; the whole transaction is to be given up.
        """
        goes_on = await self.hold(connection, claim, active_seconds)
        for one in settled:
            this = (job_items.c.job == claim.job, job_items.c.number == one.item.number)
            values = {
                "state": one.state,
                "chunks": one.chunks,
                "code": one.code,
                "message": one.message,
            }
            await connection.execute(update(job_items).where(*this).values(values))
        rows = [_origin(claim, one) for one in settled if one.revision is not None]
        if rows:
            await connection.execute(_write_origins(), rows)
        return goes_on

    async def settle_alone(
        self, claim: Claim, settled: Sequence[Settled], active_seconds: float
    ) -> bool:
        """Note what became of items in a transaction of its own."""
        async with self._database.write() as connection:
            return await self.settle(connection, claim, settled, active_seconds)

    async def finish(self, claim: Claim) -> None:
        """End a job when nothing of it is left to do; else give it back."""
        async with self._database.write() as connection:
            goes_on = await self.hold(connection, claim)
            await _give_up_awaiting(connection, claim)
            counted = select(job_items.c.state, func.count().label("items"))
            mine = counted.where(job_items.c.job == claim.job).group_by(job_items.c.state)
            states = {row.state: row.items for row in await connection.execute(mine)}
            values: dict[str, Any] = {"worker": None, "lease_until": 0.0}
            if goes_on and not states.keys() & {"waiting", "awaiting"}:
                values["status"] = "failed" if "failed" in states else "succeeded"
                values["finished_at"] = now()
            elif goes_on:
                values["status"] = "queued"
            await connection.execute(update(jobs).where(_held_by(claim)).values(values))

    async def drop_stale_origins(self) -> None:
        """Forget files whose document was removed, or written by somebody else since."""
        live = exists().where(documents.c.revision == origins.c.revision)
        async with self._database.write() as connection:
            await connection.execute(delete(origins).where(~live))

    async def hold(
        self, connection: AsyncConnection, claim: Claim, active_seconds: float = 0.0
    ) -> bool:
        """Keep a job, within a transaction; tell whether it is still to be worked on.

        Raises:
            LeaseLostError: it is somebody else's.
        """
        held = {
            "lease_until": time.time() + self._lease_seconds,
            "active_seconds": jobs.c.active_seconds + active_seconds,
        }
        kept = update(jobs).where(_held_by(claim)).values(held)
        if not (await connection.execute(kept)).rowcount:
            raise LeaseLostError(claim.id)
        status = select(jobs.c.status).where(jobs.c.number == claim.job)
        return await connection.scalar(status) == "running"


def live_origins() -> Any:
    """Select documents that came from a file and were not written otherwise since."""
    return select(documents, origins.c.source, origins.c.file_hash).join(
        origins,
        and_(
            origins.c.tenant == documents.c.tenant,
            origins.c.collection == documents.c.collection,
            origins.c.id == documents.c.id,
            origins.c.revision == documents.c.revision,
        ),
    )


def _claimable() -> Any:
    clock = time.time()
    mine = job_items.c.job == jobs.c.number
    ready = exists().where(mine, job_items.c.state == "waiting", job_items.c.removes == 0)
    awaiting = exists().where(mine, job_items.c.state == "awaiting")
    others = jobs.alias()
    under_way = (
        select(func.count())
        .select_from(others)
        .where(others.c.tenant == jobs.c.tenant, others.c.worker.is_not(None))
        .where(others.c.lease_until >= clock)
        .scalar_subquery()
    )
    return (
        select(jobs)
        .where(jobs.c.status.in_(("queued", "running")), jobs.c.lease_until < clock)
        .where(or_(ready, ~awaiting, jobs.c.files_until < clock))
        .order_by(under_way, jobs.c.claimed_at, jobs.c.number)
        .limit(1)
    )


def _held_by(claim: Claim) -> Any:
    return (jobs.c.number == claim.job) & (jobs.c.worker == claim.worker)


def _origin(claim: Claim, settled: Settled) -> dict[str, Any]:
    return {
        "tenant": claim.tenant,
        "collection": claim.collection,
        "id": settled.item.document_id,
        "source": claim.source,
        "file_hash": claim.file_hash(settled.item),
        "revision": settled.revision,
    }


def _write_origins() -> Any:
    written = insert(origins)
    return written.on_conflict_do_update(
        index_elements=["tenant", "collection", "id"],
        set_={name: written.excluded[name] for name in ("source", "file_hash", "revision")},
    )


async def _give_up_awaiting(connection: AsyncConnection, claim: Claim) -> None:
    """Fail the files whose bytes did not come in time."""
    overdue = select(jobs.c.number).where(
        jobs.c.number == claim.job, jobs.c.files_until < time.time()
    )
    missing = job_items.c.job.in_(overdue) & (job_items.c.state == "awaiting")
    never = {
        "state": "failed",
        "code": FileCode.NEVER_SENT.value,
        "message": "Its bytes were not sent in time; start the ingestion again.",
    }
    await connection.execute(update(job_items).where(missing).values(never))
