"""Training jobs under a lease: claimed by a worker, renewed, taken from one that fell silent.

Only silence counts against a job: a worker that pauses it, or gives it back, costs it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, func, select, update

from services.contracts.fine_tuning import TrainingFailure
from services.contracts.jobs import JobClaim, Lease, LeaseRenewal, LeaseState, TrainingJob
from services.gateway.registry import tables, training_events, training_jobs
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.training_jobs import JobLimits

_jobs = tables.training_jobs


async def claim(
    registry: Registry, actor: Actor, wish: JobClaim, limits: JobLimits
) -> tuple[Lease | None, Sequence[str]]:
    """Give a worker the oldest job that is queued or whose worker fell silent.

    Returns:
        The lease, and the ids of jobs that have failed because too many workers fell silent.
    """
    async with registry.change(actor) as change:
        hopeless = await _give_up_on_hopeless(change, limits)
        row = (await change.connection.execute(_next(change.now, wish, limits))).one_or_none()
        if row is None:
            return None, hopeless
        if row.status == "running":
            await training_events.say_silent(change, row.id, _step_of(row))
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
    lease = Lease(
        job=job,
        input_key=training_jobs.input_folder(job.id),
        output_key=training_jobs.output_folder(job),
        report_key=training_jobs.report_folder(job),
        lease_seconds=limits.lease_seconds,
    )
    return lease, hopeless


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


async def _give_up_on_hopeless(change: Change, limits: JobLimits) -> list[str]:
    """Fail the jobs that lost worker after worker, and name them."""
    lapsed = select(_jobs).where(_jobs.c.status == "running", _jobs.c.lease_until < change.now)
    hopeless = []
    for row in (await change.connection.execute(lapsed)).all():
        lost = await training_events.silences(change, row.id, _step_of(row))
        if lost >= limits.max_attempts:
            hopeless.append(row.id)
            await _fail(change, row.id, f"{lost} workers fell silent while they worked on it")
    return hopeless


async def _fail(change: Change, job_id: str, why: str) -> None:
    ending = {
        "status": "failed",
        "finished_at": change.second,
        "error": why,
        "error_code": TrainingFailure.WORKERS_LOST,
    }
    await change.connection.execute(update(_jobs).where(_jobs.c.id == job_id).values(ending))
    await training_events.say(change, job_id, f"The job is failed: {why}", "warn")


def _step_of(row: Row[Any]) -> int:
    """Read how far a job has got, as last reported."""
    return int(row.progress["step"]) if row.progress else 0
