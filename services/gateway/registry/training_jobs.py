"""Training jobs: queued by an operator, claimed by a worker under a lease, finished once."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.jobs import (
    JobResult,
    Lease,
    LeaseRenewal,
    LeaseState,
    TrainingJob,
    TrainingSpec,
)
from services.gateway.registry import tables
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.paging import Page, page_of

LEASE_SECONDS = 60.0
"""How long a worker may be silent before its job is somebody else's."""

MAX_ATTEMPTS = 3
"""A job that has killed so many workers fails."""

_jobs = tables.training_jobs


def new_job_id() -> str:
    """Make a job's id."""
    return f"job_{token_hex(8)}"


def input_folder(job_id: str) -> str:
    """Name the artifact folder that holds a job's rows."""
    return f"jobs/{job_id}/input"


def output_folder(job: TrainingJob) -> str:
    """Name the artifact folder for a job's adapter; each attempt has its own."""
    return f"jobs/{job.id}/output-{job.attempts}"


async def queue(change: Change, job_id: str, spec: TrainingSpec) -> TrainingJob:
    """Queue a job whose rows already lie in the artifact store."""
    await change.connection.execute(
        insert(_jobs).values(
            id=job_id,
            tenant=change.actor.tenant,
            status="queued",
            spec=spec.model_dump(mode="json"),
            created_at=change.second,
            created_by=change.actor.key_id,
            lease_until=0.0,
            attempts=0,
            cancel_requested=False,
        )
    )
    await change.record("training.queued", None, job_id, {"adapter": spec.adapter})
    return await find(change.connection, change.actor.tenant, job_id)


async def one(registry: Registry, tenant: str, job_id: str) -> TrainingJob:
    """Read one job of a tenant.

    Raises:
        NotFound: when the tenant has no such job.
    """
    async with registry.database.read() as connection:
        return await find(connection, tenant, job_id)


async def find(connection: AsyncConnection, tenant: str, job_id: str) -> TrainingJob:
    """Read one job of a tenant.

    Raises:
        NotFound: when the tenant has no such job.
    """
    row = (
        await connection.execute(
            select(_jobs).where(_jobs.c.tenant == tenant, _jobs.c.id == job_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no training job {job_id!r}.", code="job_not_found")
    return _job_of(row)


async def listed(registry: Registry, tenant: str, page: Page) -> tuple[Sequence[TrainingJob], bool]:
    """Read a tenant's jobs, newest first, and whether there are more."""
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection,
            select(_jobs).where(_jobs.c.tenant == tenant),
            page,
            order=(_jobs.c.created_at, _jobs.c.id),
            id_=_jobs.c.id,
        )
    return [_job_of(row) for row in rows], more


async def cancel(change: Change, job_id: str) -> TrainingJob:
    """Cancel a queued job at once; ask the worker of a running one to stop.

    Raises:
        Conflict: when the job has already ended.
    """
    job = await find(change.connection, change.actor.tenant, job_id)
    if job.status not in ("queued", "running"):
        raise Conflict(f"The job {job_id!r} has already {job.status}.", code="job_ended")
    mine = update(_jobs).where(_jobs.c.id == job_id)
    await change.connection.execute(
        mine.where(_jobs.c.status == "queued").values(status="cancelled", finished_at=change.second)
    )
    await change.connection.execute(
        mine.where(_jobs.c.status == "running").values(cancel_requested=True)
    )
    await change.record("training.cancel_requested", None, job_id)
    return await find(change.connection, change.actor.tenant, job_id)


async def claim(registry: Registry, actor: Actor, worker: str) -> Lease | None:
    """Give a worker the oldest job that is queued or whose worker fell silent."""
    async with registry.change(actor) as change:
        await _give_up_on_hopeless(change)
        row = (
            await change.connection.execute(
                select(_jobs)
                .where(_free(change.now))
                .order_by(_jobs.c.created_at, _jobs.c.id)
                .limit(1)
            )
        ).one_or_none()
        if row is None:
            return None
        await change.connection.execute(
            update(_jobs)
            .where(_jobs.c.id == row.id)
            .values(
                status="running",
                worker=worker,
                lease_until=change.now + LEASE_SECONDS,
                attempts=row.attempts + 1,
            )
        )
        await change.record("training.claimed", None, row.id, {"worker": worker})
        tenant, job_id = row.tenant, row.id
    job = await one(registry, tenant, job_id)
    return Lease(
        job=job,
        input_key=input_folder(job.id),
        output_key=output_folder(job),
        lease_seconds=LEASE_SECONDS,
    )


async def renew(registry: Registry, actor: Actor, job_id: str, renewal: LeaseRenewal) -> LeaseState:
    """Prolong a worker's lease, unless the job is no longer its own."""
    progress = renewal.progress.model_dump() if renewal.progress else None
    async with registry.change(actor) as change:
        row = (
            await change.connection.execute(
                update(_jobs)
                .where(_jobs.c.id == job_id, _jobs.c.status == "running")
                .where(_jobs.c.worker == renewal.worker)
                .values(lease_until=change.now + LEASE_SECONDS, progress=progress)
                .returning(_jobs.c.cancel_requested)
            )
        ).one_or_none()
    return LeaseState(held=row is not None, cancel_requested=bool(row and row.cancel_requested))


async def finish(
    registry: Registry,
    actor: Actor,
    job_id: str,
    result: JobResult,
    adapter_version: str | None,
) -> None:
    """Write how a job ended; the same worker saying it twice changes nothing.

    Raises:
        Conflict: when the job is somebody else's by now.
    """
    async with registry.change(actor) as change:
        row = (
            await change.connection.execute(
                update(_jobs)
                .where(_jobs.c.id == job_id, _jobs.c.worker == result.worker)
                .where(or_(_jobs.c.status == "running", _jobs.c.status == result.status))
                .values(
                    status=result.status,
                    finished_at=change.second,
                    error=result.error,
                    adapter_version=adapter_version,
                )
                .returning(_jobs.c.id)
            )
        ).one_or_none()
        if row is None:
            raise Conflict(
                f"The job {job_id!r} is no longer this worker's; its result is not kept.",
                code="lease_lost",
            )
        await change.record(f"training.{result.status}", None, job_id, {"error": result.error})


async def held_by(registry: Registry, job_id: str, worker: str) -> TrainingJob:
    """Read a running job of any tenant on behalf of its worker.

    Raises:
        Conflict: when the job is not this worker's.
    """
    async with registry.database.read() as connection:
        row = (
            await connection.execute(
                select(_jobs).where(_jobs.c.id == job_id, _jobs.c.worker == worker)
            )
        ).one_or_none()
    if row is None:
        raise Conflict(
            f"The job {job_id!r} is no longer this worker's; its result is not kept.",
            code="lease_lost",
        )
    return _job_of(row)


async def _give_up_on_hopeless(change: Change) -> None:
    await change.connection.execute(
        update(_jobs)
        .where(_jobs.c.status == "running", _jobs.c.lease_until < change.now)
        .where(_jobs.c.attempts >= MAX_ATTEMPTS)
        .values(
            status="failed",
            finished_at=change.second,
            error=f"{MAX_ATTEMPTS} workers fell silent while they worked on it",
        )
    )


def _free(now: float) -> Any:
    abandoned = (_jobs.c.status == "running") & (_jobs.c.lease_until < now)
    return (_jobs.c.status == "queued") | abandoned


def _job_of(row: Row[Any]) -> TrainingJob:
    return TrainingJob(
        id=row.id,
        status=row.status,
        spec=row.spec,
        created_at=row.created_at,
        created_by=row.created_by,
        tenant=row.tenant,
        finished_at=row.finished_at,
        worker=row.worker,
        attempts=row.attempts,
        progress=row.progress,
        adapter_version=row.adapter_version,
        error=row.error,
        cancel_requested=row.cancel_requested,
    )
