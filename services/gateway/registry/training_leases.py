"""Training jobs under a lease: claimed by a worker, renewed, taken from one that fell silent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select, update

from services.contracts.fine_tuning import TrainingFailure
from services.contracts.jobs import JobClaim, Lease, LeaseRenewal, LeaseState, TrainingJob
from services.gateway.registry import tables, training_events, training_jobs
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.training_jobs import JobLimits

_jobs = tables.training_jobs


async def claim(
    registry: Registry, actor: Actor, wish: JobClaim, limits: JobLimits
) -> Lease | None:
    """Give a worker the oldest job that is queued or whose worker fell silent."""
    async with registry.change(actor) as change:
        await _give_up_on_hopeless(change, limits)
        row = (await change.connection.execute(_next(change.now, wish, limits))).one_or_none()
        if row is None:
            return None
        await change.connection.execute(
            update(_jobs)
            .where(_jobs.c.id == row.id)
            .values(
                status="running",
                worker=wish.worker,
                lease_until=change.now + limits.lease_seconds,
                attempts=row.attempts + 1,
            )
        )
        await change.record("training.claimed", None, row.id, {"worker": wish.worker})
        job = await training_jobs.find(change.connection, row.tenant, row.id)
    return Lease(
        job=job,
        input_key=training_jobs.input_folder(job.id),
        output_key=training_jobs.output_folder(job),
        report_key=training_jobs.report_folder(job),
        lease_seconds=limits.lease_seconds,
    )


def _next(now: float, wish: JobClaim, limits: JobLimits) -> Select[Any]:
    """Select the oldest job that is free, of a tenant that may have one more running."""
    abandoned = (_jobs.c.status == "running") & (_jobs.c.lease_until < now)
    other = _jobs.alias("other")
    running = (
        select(func.count())
        .select_from(other)
        .where(other.c.tenant == _jobs.c.tenant, other.c.status == "running")
        .scalar_subquery()
    )
    free = abandoned | ((_jobs.c.status == "queued") & (running < limits.max_running))
    chosen = select(_jobs).where(free)
    if wish.job is not None:
        chosen = chosen.where(_jobs.c.id == wish.job)
    return chosen.order_by(_jobs.c.created_at, _jobs.c.id).limit(1)


async def renew(
    registry: Registry, actor: Actor, job_id: str, renewal: LeaseRenewal, limits: JobLimits
) -> LeaseState:
    """Prolong a worker's lease, unless the job is no longer its own."""
    progress = {"progress": renewal.progress.model_dump()} if renewal.progress else {}
    async with registry.change(actor) as change:
        row = (
            await change.connection.execute(
                update(_jobs)
                .where(_jobs.c.id == job_id, _jobs.c.status == "running")
                .where(_jobs.c.worker == renewal.worker)
                .values(
                    lease_until=change.now + limits.lease_seconds,
                    version=_jobs.c.version,
                    **progress,
                )
                .returning(_jobs.c.cancel_requested, _jobs.c.pause_requested, _jobs.c.attempts)
            )
        ).one_or_none()
        if row is None:
            return LeaseState(held=False, cancel_requested=False)
        await training_events.add(change, job_id, row.attempts, renewal.events)
    return LeaseState(
        held=True, cancel_requested=row.cancel_requested, pause_requested=row.pause_requested
    )


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
        raise training_jobs.lost(job_id)
    return training_jobs.job_of(row)


async def _give_up_on_hopeless(change: Change, limits: JobLimits) -> None:
    why = f"{limits.max_attempts} workers fell silent while they worked on it"
    lost = await change.connection.scalars(
        update(_jobs)
        .where(_jobs.c.status == "running", _jobs.c.lease_until < change.now)
        .where(_jobs.c.attempts >= limits.max_attempts)
        .values(
            status="failed",
            finished_at=change.second,
            error=why,
            error_code=TrainingFailure.WORKERS_LOST,
        )
        .returning(_jobs.c.id)
    )
    for job_id in lost.all():
        await training_events.say(change, job_id, f"The job is failed: {why}", "warn")
