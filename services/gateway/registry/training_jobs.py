"""Training jobs: queued by an operator, claimed by a worker under a lease, finished once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound, Overloaded
from services.contracts.fine_tuning import JobEvaluation
from services.contracts.jobs import (
    JobResult,
    JobStatus,
    TrainedCheckpoint,
    TrainingJob,
    TrainingSpec,
)
from services.gateway.registry import tables, training_events, versions
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.versions import Expected

RETRY_SECONDS = 60.0
"""When a caller with too many jobs is told to come back."""

_jobs = tables.training_jobs

_OPEN = ("queued", "running", "paused")

_STOPPED: tuple[JobStatus, ...] = ("paused", "queued", "cancelled")
"""What a job may be once its worker has stopped and kept what it has."""


class TooManyJobs(Overloaded):
    """The tenant has as many jobs that have not ended as it may."""

    code = "too_many_training_jobs"


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Bounds of training jobs."""

    lease_seconds: float
    """How long a worker may be silent before its job is somebody else's."""
    max_attempts: int
    """A job that has lost so many workers fails."""
    max_open: int
    """Jobs of one tenant that have not ended."""
    max_running: int
    """Jobs of one tenant that run at the same time; further ones wait."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the gateway took over from a finished training."""

    adapter_version: str | None = None
    checkpoints: Sequence[TrainedCheckpoint] = ()
    result_files: Sequence[str] = ()


Judged = Callable[[Change], Awaitable[JobEvaluation | None]]
"""Begins the comparison with what was there before, within the change that ends a job."""


class JobChanged(Conflict):
    """The job was moved in between, by somebody else or by its worker."""

    code = "job_changed"


def new_job_id() -> str:
    """Make a job's id."""
    return f"job_{token_hex(8)}"


def folder(job_id: str) -> str:
    """Name the artifact folder that holds everything of a job; no one reads it once it ended."""
    return f"jobs/{job_id}"


def input_folder(job_id: str) -> str:
    """Name the artifact folder that holds a job's rows."""
    return f"{folder(job_id)}/input"


def output_folder(job: TrainingJob) -> str:
    """Name the artifact folder for a job's adapter; each attempt has its own."""
    return f"{folder(job.id)}/output-{job.attempts}"


def report_folder(job: TrainingJob) -> str:
    """Name the artifact folder for a job's losses and cases; each attempt has its own."""
    return f"{folder(job.id)}/report-{job.attempts}"


async def queue(change: Change, job_id: str, spec: TrainingSpec, limits: JobLimits) -> TrainingJob:
    """Queue a job whose rows already lie in the artifact store.

    Raises:
        TooManyJobs: the tenant has as many as it may.
    """
    mine = select(func.count()).select_from(_jobs).where(_jobs.c.tenant == change.actor.tenant)
    held = await change.connection.scalar(mine.where(_jobs.c.status.in_(_OPEN)))
    if (held or 0) >= limits.max_open:
        raise TooManyJobs(
            f"{held} training jobs have not ended and {limits.max_open} may be; wait for one, or "
            "cancel one.",
            retry_after_seconds=RETRY_SECONDS,
        )
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
            pause_requested=False,
        )
    )
    await training_events.say(change, job_id, f"Created fine-tuning job: {job_id}")
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
    return job_of(row)


async def listed(
    registry: Registry, tenant: str, page: Page, *wanted: ColumnElement[bool]
) -> tuple[Sequence[TrainingJob], bool]:
    """Read a tenant's jobs, newest first, and whether there are more."""
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection,
            select(_jobs).where(_jobs.c.tenant == tenant, *wanted),
            page,
            order=(_jobs.c.created_at, _jobs.c.id),
            id_=_jobs.c.id,
        )
    return [job_of(row) for row in rows], more


def is_over(status: JobStatus) -> bool:
    """Tell whether a job has ended for good."""
    return status not in _OPEN


async def over(registry: Registry, job_ids: Sequence[str]) -> list[str]:
    """Name those of the jobs, of any tenant, that have ended or are not known."""
    asked = select(_jobs.c.id).where(_jobs.c.id.in_(job_ids), _jobs.c.status.in_(_OPEN))
    async with registry.database.read() as connection:
        wanted = set(await connection.scalars(asked))
    return [job_id for job_id in job_ids if job_id not in wanted]


def check_version(job: TrainingJob, expected: Expected) -> None:
    """Refuse to move a job that the caller has not seen as it is.

    Raises:
        JobChanged: it is at another version.
    """
    versions.check(f"The training job {job.id!r}", job.version, expected, JobChanged)


async def cancel(change: Change, job_id: str) -> TrainingJob:
    """Cancel a waiting job at once; ask the worker of a running one to stop.

    Raises:
        Conflict: when the job has already ended.
    """
    now = {"status": "cancelled", "finished_at": change.second}
    return await _steer(change, job_id, "cancel", now, {"cancel_requested": True})


async def pause(change: Change, job_id: str) -> TrainingJob:
    """Let a queued job wait; ask the worker of a running one to keep what it has and stop.

    Raises:
        Conflict: when the job has already ended.
    """
    return await _steer(change, job_id, "pause", {"status": "paused"}, {"pause_requested": True})


async def resume(change: Change, job_id: str) -> TrainingJob:
    """Let a paused job go on, from its last checkpoint where its worker takes it up again.

    Raises:
        Conflict: when the job is not paused.
    """
    job = await find(change.connection, change.actor.tenant, job_id)
    if job.status != "paused" and not job.pause_requested:
        raise Conflict(f"The job {job_id!r} is {job.status}, not paused.", code="job_not_paused")
    mine = update(_jobs).where(_jobs.c.id == job_id)
    await change.connection.execute(mine.values(pause_requested=False))
    await change.connection.execute(mine.where(_jobs.c.status == "paused").values(status="queued"))
    await _told(change, job_id, "resume")
    return await find(change.connection, change.actor.tenant, job_id)


async def _steer(
    change: Change, job_id: str, what: str, waiting: dict[str, Any], running: dict[str, Any]
) -> TrainingJob:
    """Change a waiting job, or leave word for the worker of a running one."""
    job = await find(change.connection, change.actor.tenant, job_id)
    if job.status not in _OPEN:
        raise Conflict(f"The job {job_id!r} has already {job.status}.", code="job_ended")
    values = running if job.status == "running" else waiting
    await change.connection.execute(update(_jobs).where(_jobs.c.id == job_id).values(values))
    await _told(change, job_id, what)
    return await find(change.connection, change.actor.tenant, job_id)


async def _told(change: Change, job_id: str, what: str) -> None:
    await training_events.say(change, job_id, f"Asked to {what} the job")
    await change.record(f"training.{what}_requested", None, job_id)


async def finish(
    registry: Registry,
    actor: Actor,
    job: TrainingJob,
    result: JobResult,
    made: Made,
    judged: Judged,
) -> JobStatus:
    """Write how a job ended or that it rests, and return what it is now.

    The same worker saying it twice changes nothing.

    Raises:
        Conflict: when the job is somebody else's by now.
    """
    async with registry.change(actor) as change:
        mine = (_jobs.c.id == job.id, _jobs.c.worker == result.worker)
        row = (await change.connection.execute(select(_jobs).where(*mine))).one_or_none()
        if row is None:
            raise lost(job.id)
        now = job_of(row)
        if now.status != "running":
            if now.status not in _told_by(result):
                raise lost(job.id)
            return now.status
        status = _status_after(now, result)
        ending = update(_jobs).where(*mine).values(_ending(change, status, result, made))
        await change.connection.execute(ending)
        await training_events.add(change, job.id, now.attempts, result.events)
        await _close(change, job, status, result, made, judged)
        await change.record(f"training.{status}", None, job.id, {"error": result.error})
    return status


def _told_by(result: JobResult) -> tuple[JobStatus, ...]:
    """List what a job may be whose worker has already said this."""
    return _STOPPED if result.status == "paused" else (result.status,)


def _status_after(job: TrainingJob, result: JobResult) -> JobStatus:
    """Say what becomes of a job; what was asked while its worker came to a stop counts.

    A worker that stops without having been asked, or no longer, leaves the job to the next one.
    """
    if result.status != "paused":
        return result.status
    if job.cancel_requested:
        return "cancelled"
    return "paused" if job.pause_requested else "queued"


def _ending(change: Change, status: JobStatus, result: JobResult, made: Made) -> dict[str, Any]:
    progress = {"progress": result.progress.model_dump()} if result.progress else {}
    return {
        "status": status,
        "finished_at": change.second if is_over(status) else None,
        "error": result.error if status == result.status else None,
        "error_code": result.code,
        "adapter_version": made.adapter_version,
        "checkpoints": [one.model_dump() for one in made.checkpoints],
        "result_files": list(made.result_files),
        "pause_requested": False,
        **progress,
    }


async def _close(
    change: Change,
    job: TrainingJob,
    status: JobStatus,
    result: JobResult,
    made: Made,
    judged: Judged,
) -> None:
    """Say how a job ended, and begin to compare what it made."""
    if made.adapter_version is None:
        reason = f": {result.error}" if result.error and status == result.status else ""
        await training_events.say(change, job.id, f"The job is {status}{reason}")
        return
    for one in made.checkpoints:
        told = f"Checkpoint created at step {one.step}: {one.adapter_version}"
        await training_events.say(change, job.id, told)
    await training_events.say(
        change, job.id, f"New fine-tuned model created: {made.adapter_version}"
    )
    await training_events.say(change, job.id, "The job has succeeded")
    found = await judged(
        replace(change, actor=Actor(job.tenant, job.created_by, f"made by {job.id}"))
    )
    if found is not None:
        await judge(change, job.id, found)


async def judge(change: Change, job_id: str, found: JobEvaluation) -> None:
    """Write how a new version compares with what was there before."""
    written = update(_jobs).where(_jobs.c.id == job_id)
    await change.connection.execute(written.values(evaluation=found.model_dump(mode="json")))
    level: Literal["info", "warn"] = "info" if found.state in ("running", "done") else "warn"
    await training_events.say(change, job_id, found.said, level)


def lost(job_id: str) -> Conflict:
    """Tell a worker that its job is somebody else's by now."""
    return Conflict(
        f"The job {job_id!r} is no longer this worker's; its result is not kept.",
        code="lease_lost",
    )


def job_of(row: Row[Any]) -> TrainingJob:
    """Read a job."""
    return TrainingJob.received(
        {
            "id": row.id,
            "status": row.status,
            "spec": row.spec,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "tenant": row.tenant,
            "finished_at": row.finished_at,
            "worker": row.worker,
            "attempts": row.attempts,
            "progress": row.progress,
            "adapter_version": row.adapter_version,
            "error": row.error,
            "error_code": row.error_code,
            "cancel_requested": row.cancel_requested,
            "pause_requested": row.pause_requested,
            "checkpoints": row.checkpoints or [],
            "result_files": row.result_files or [],
            "evaluation": row.evaluation,
            "version": row.version,
        }
    )
