"""Ingestion jobs as callers see them: taken in, read, paused, resumed, cancelled, tried again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, case, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ingestion import Ingestion, IngestionItem
from services.retriever.catalogue.columns import total
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.job_records import (
    NewItem,
    NewJob,
    Segments,
    Tally,
    ingestion_of,
    outcome_of,
)
from services.retriever.catalogue.job_tables import job_items, jobs
from services.retriever.catalogue.statements import now
from services.retriever.errors import IngestionFinished, IngestionNotFound, TooManyIngestions

OPEN = ("queued", "running", "paused")
"""The states of a job that has work left."""

UNDONE = ("awaiting", "waiting")
"""The states of an item that has work left."""

ROWS_A_STEP = 2000
"""Items that one statement inserts, so that other requests get a word in."""


class Jobs:
    """Transactions of those who ask for jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, job: NewJob, max_open: int) -> Ingestion:
        """Take a job in; it outlives the process from here on.

        Raises:
            TooManyIngestions: the tenant has too many open ones.
        """
        async with self._database.write() as connection:
            await _check_room(connection, job.tenant, max_open)
            number = await _insert_job(connection, job)
            await insert_items(connection, number, job.items)
            return await _described(connection, await _row(connection, job.tenant, number=number))

    async def read(self, tenant: str, id_: str) -> Ingestion:
        """Describe a job.

        Raises:
            IngestionNotFound: the tenant has no such job.
        """
        async with self._database.read() as connection:
            return await _described(connection, await _row(connection, tenant, id_))

    async def page(
        self, tenant: str, collection: str | None, *, limit: int, after: str | None
    ) -> tuple[list[Ingestion], bool]:
        """List jobs, newest first, and tell whether more follow.

        Raises:
            IngestionNotFound: `after` names no job of the tenant.
        """
        query = select(jobs).where(jobs.c.tenant == tenant).order_by(jobs.c.number.desc())
        if collection is not None:
            query = query.where(jobs.c.collection == collection)
        async with self._database.read() as connection:
            if after is not None:
                query = query.where(jobs.c.number < (await _row(connection, tenant, after)).number)
            rows = (await connection.execute(query.limit(limit + 1))).all()
            tallies = await _tallies(connection, [row.number for row in rows[:limit]])
        described = [ingestion_of(row, tallies[row.number]) for row in rows[:limit]]
        return described, len(rows) > limit

    async def items(
        self, tenant: str, id_: str, *, state: str | None, limit: int, after: int
    ) -> tuple[list[IngestionItem], bool]:
        """List a job's items by number, and tell whether more follow.

        Raises:
            IngestionNotFound: the tenant has no such job.
        """
        async with self._database.read() as connection:
            job = await _row(connection, tenant, id_)
            query = select(job_items).where(
                job_items.c.job == job.number, job_items.c.number > after
            )
            if state is not None:
                query = query.where(job_items.c.state == state)
            ordered = query.order_by(job_items.c.number).limit(limit + 1)
            rows = (await connection.execute(ordered)).all()
        return [outcome_of(row) for row in rows[:limit]], len(rows) > limit

    async def open_from(self, tenant: str, collection: str, source: str) -> list[tuple[str, str]]:
        """List the open jobs of a source: the id of each, and that of its first document."""
        first = (job_items.c.job == jobs.c.number) & (job_items.c.number == 0)
        query = select(jobs.c.id, job_items.c.document_id).join(job_items, first)
        mine = (jobs.c.tenant == tenant) & (jobs.c.collection == collection)
        chosen = query.where(mine, jobs.c.source == source, jobs.c.status.in_(OPEN))
        async with self._database.read() as connection:
            return [(row.id, row.document_id) for row in await connection.execute(chosen)]

    async def pause(self, tenant: str, id_: str) -> Ingestion:
        """Let a job rest after the batch that it is in.

        Raises:
            IngestionFinished: it has ended.
        """
        return await self._turn(tenant, id_, {"status": "paused"})

    async def resume(self, tenant: str, id_: str) -> Ingestion:
        """Let a job that rests go on.

        Raises:
            IngestionFinished: it has ended.
        """
        return await self._turn(tenant, id_, {"status": "queued"}, only=("paused",))

    async def cancel(self, tenant: str, id_: str) -> Ingestion:
        """End a job; what was done stays, the rest is left out.

        Raises:
            IngestionFinished: it has ended by itself.
        """
        async with self._database.write() as connection:
            row = await _row(connection, tenant, id_)
            if row.status != "cancelled":
                _require_open(row)
                await cancel_jobs(connection, jobs.c.number == row.number)
            return await _described(connection, await _row(connection, tenant, id_))

    async def retry(self, tenant: str, id_: str) -> Ingestion:
        """Let the failed files whose bytes are still here have another try.

        Raises:
            IngestionFinished: nothing of it can be tried again.
        """
        again = (job_items.c.state == "failed") & job_items.c.segment.is_not(None)
        waiting = {"state": "waiting", "code": None, "message": None}
        async with self._database.write() as connection:
            row = await _row(connection, tenant, id_)
            this = (job_items.c.job == row.number) & again
            tried = update(job_items).where(this).values(waiting)
            if row.status == "cancelled" or not (await connection.execute(tried)).rowcount:
                raise IngestionFinished(
                    f"Ingestion {id_} has no failed file that could be tried again; send the "
                    "files anew."
                )
            if row.status not in OPEN:
                reopened = {"status": "queued", "finished_at": None}
                await connection.execute(
                    update(jobs).where(jobs.c.number == row.number).values(reopened)
                )
            return await _described(connection, await _row(connection, tenant, id_))

    async def forget(self, finished_before: float) -> None:
        """Drop jobs that ended long ago, with what is known of their files."""
        old = jobs.c.finished_at.is_not(None) & (jobs.c.finished_at < finished_before)
        async with self._database.write() as connection:
            await connection.execute(delete(jobs).where(old))

    async def segments(self) -> Segments:
        """Name the pieces of the spool whose bytes may still be needed."""
        held = job_items.c.state.in_(("waiting", "failed")) & job_items.c.segment.is_not(None)
        newest = func.max(job_items.c.job).label("job")
        query = select(job_items.c.segment, job_items.c.state, newest).where(held)
        grouped = query.group_by(job_items.c.segment, job_items.c.state).order_by(newest.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(grouped)).all()
        waiting = {row.segment for row in rows if row.state == "waiting"}
        failed = [row.segment for row in rows if row.segment not in waiting]
        return Segments(frozenset(waiting), tuple(failed))

    async def backlog(self) -> tuple[int, float]:
        """Count the files that could be worked on, and the seconds the least served job waits.

        A job that is paused waits for nothing, and one that a worker holds does not wait.
        """
        clock = time.time()
        mine = (job_items.c.job == jobs.c.number) & (job_items.c.removes == 0)
        waiting = mine & (job_items.c.state == "waiting")
        counted = select(func.count()).select_from(jobs).join(job_items, waiting)
        turned = case((jobs.c.claimed_at > 0, jobs.c.claimed_at), else_=jobs.c.created_at)
        idle = select(func.min(turned)).where(
            jobs.c.status.in_(("queued", "running")),
            jobs.c.lease_until < clock,
            exists().where(waiting),
        )
        async with self._database.read() as connection:
            files = await connection.scalar(counted.where(jobs.c.status.in_(("queued", "running"))))
            since = await connection.scalar(idle)
        return files or 0, 0.0 if since is None else max(0.0, clock - since)

    async def _turn(
        self,
        tenant: str,
        id_: str,
        values: dict[str, Any],
        *,
        only: Sequence[str] = OPEN,
    ) -> Ingestion:
        async with self._database.write() as connection:
            row = await _row(connection, tenant, id_)
            _require_open(row)
            this = (jobs.c.number == row.number) & jobs.c.status.in_(only)
            await connection.execute(update(jobs).where(this).values(values))
            return await _described(connection, await _row(connection, tenant, id_))


async def cancel_jobs(connection: AsyncConnection, which: Any) -> None:
    """End the open ones of the jobs that match."""
    open_ones = select(jobs.c.number).where(which, jobs.c.status.in_(OPEN))
    undone = job_items.c.job.in_(open_ones) & job_items.c.state.in_(UNDONE)
    await connection.execute(update(job_items).where(undone).values(state="cancelled"))
    ended = {"status": "cancelled", "finished_at": now()}
    await connection.execute(update(jobs).where(which, jobs.c.status.in_(OPEN)).values(ended))


async def insert_items(connection: AsyncConnection, job: int, items: Sequence[NewItem]) -> None:
    """Add items to a job, numbered from 0."""
    for at in range(0, len(items), ROWS_A_STEP):
        step = items[at : at + ROWS_A_STEP]
        await connection.execute(
            insert(job_items),
            [
                {
                    "job": job,
                    "number": at + place,
                    "document_id": item.document_id,
                    "uri": item.uri,
                    "removes": int(item.removes),
                    "sha256": item.sha256,
                    "bytes": item.bytes,
                    "state": item.state,
                    "segment": item.segment,
                    "offset": item.offset,
                    "code": item.code,
                    "message": item.message,
                }
                for place, item in enumerate(step)
            ],
        )


def _require_open(row: Row[Any]) -> None:
    if row.status not in OPEN:
        raise IngestionFinished(
            f"Ingestion {row.id} has ended as {row.status}; start another, or retry its failed "
            "files."
        )


async def _check_room(connection: AsyncConnection, tenant: str, max_open: int) -> None:
    mine = (jobs.c.tenant == tenant) & jobs.c.status.in_(OPEN)
    count = await connection.scalar(select(func.count()).select_from(jobs).where(mine))
    if (count or 0) >= max_open:
        raise TooManyIngestions(
            f"{count} ingestions are open already; let one end or cancel it first.",
            retry_after_seconds=10,
        )


async def _insert_job(connection: AsyncConnection, job: NewJob) -> int:
    inserted = await connection.execute(
        insert(jobs).values(
            id=f"ing-{secrets.token_hex(8)}",
            tenant=job.tenant,
            collection=job.collection,
            source=job.options.source,
            metadata=dict(job.options.metadata),
            allowed_groups=list(job.options.allowed_groups),
            status="queued",
            created_at=now(),
            files_until=job.files_until,
        )
    )
    key = inserted.inserted_primary_key
    assert key is not None
    return int(key.number)


async def _row(
    connection: AsyncConnection, tenant: str, id_: str | None = None, *, number: int | None = None
) -> Row[Any]:
    which = jobs.c.id == id_ if number is None else jobs.c.number == number
    query = select(jobs).where(jobs.c.tenant == tenant, which)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise IngestionNotFound(
            f"There is no ingestion {id_!r}; list the ingestions to see their ids.", param="id"
        )
    return row


async def _described(connection: AsyncConnection, row: Row[Any]) -> Ingestion:
    return ingestion_of(row, (await _tallies(connection, [row.number]))[row.number])


async def _tallies(connection: AsyncConnection, numbers: Iterable[int]) -> dict[int, Tally]:
    tallies = {number: Tally() for number in numbers}
    counted = (
        select(
            job_items.c.job,
            job_items.c.state,
            func.count().label("items"),
            total(job_items.c.chunks).label("chunks"),
            total(job_items.c.bytes).label("bytes"),
        )
        .where(job_items.c.job.in_(tallies))
        .group_by(job_items.c.job, job_items.c.state)
    )
    for row in await connection.execute(counted):
        tallies[row.job].add(row)
    return tallies
