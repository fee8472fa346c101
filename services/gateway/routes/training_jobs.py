"""Training jobs: operators queue them, tuner workers claim and finish them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Response, UploadFile
from pydantic import ValidationError

from services.chassis.errors import invalid_request_from
from services.contracts.jobs import (
    JobClaim,
    JobResult,
    JobsAsked,
    JobsOver,
    Lease,
    LeaseRenewal,
    LeaseState,
    TrainingJob,
    TrainingJobPage,
    TrainingSpec,
)
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    ExpectedDep,
    Internal,
    Operator,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import training_jobs
from services.gateway.registry.changes import Actor

router = APIRouter(tags=["training"])


@router.post("/admin/training-jobs", status_code=201)
async def queue_job(
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
    file: Annotated[UploadFile, File()],
    spec: Annotated[str, Form()],
) -> TrainingJob:
    """Queue a training: `file` holds prompt/completion rows, `spec` says what to train."""
    try:
        wanted = TrainingSpec.model_validate_json(spec)
    except ValidationError as error:
        raise invalid_request_from(error, spec) from error
    return await resources.training.queue(actor, wanted, file.file, attempt)


@router.get("/admin/training-jobs")
async def list_jobs(resources: ResourcesDep, operator: Operator, page: PageDep) -> TrainingJobPage:
    """List the tenant's training jobs, newest first."""
    data, has_more = await training_jobs.listed(resources.registry, operator.tenant, page)
    return TrainingJobPage(data=list(data), has_more=has_more)


@router.get("/admin/training-jobs/{job_id}")
async def get_job(
    resources: ResourcesDep, operator: Operator, response: Response, job_id: str
) -> TrainingJob:
    """Describe a training job and how far it is."""
    job = await training_jobs.one(resources.registry, operator.tenant, job_id)
    response.headers["ETag"] = f'"{job.version}"'
    return job


@router.post("/admin/training-jobs/{job_id}/cancel")
async def cancel_job(
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
    expected: ExpectedDep,
    job_id: str,
) -> TrainingJob:
    """Cancel a training job; a running one stops within seconds."""
    return await resources.training.steer(actor, job_id, "cancel", attempt, expected)


@router.post("/internal/jobs/claim")
async def claim_job(resources: ResourcesDep, caller: Internal, claim: JobClaim) -> Lease | None:
    """Give a worker the oldest job that nobody works on, or nothing."""
    return await resources.training.claim(_worker(caller.key_id), claim)


@router.post("/internal/jobs/over")
async def jobs_over(resources: ResourcesDep, _: Internal, asked: JobsAsked) -> JobsOver:
    """Say which jobs have ended or are not known, so that a worker forgets their files."""
    return JobsOver(jobs=await training_jobs.over(resources.registry, asked.jobs))


@router.post("/internal/jobs/{job_id}/renew")
async def renew_lease(
    resources: ResourcesDep, caller: Internal, job_id: str, renewal: LeaseRenewal
) -> LeaseState:
    """Prolong a lease; says whether the job is still the worker's and wanted."""
    return await resources.training.renew(_worker(caller.key_id), job_id, renewal)


@router.post("/internal/jobs/{job_id}/finish", status_code=204)
async def finish_job(
    resources: ResourcesDep, caller: Internal, job_id: str, result: JobResult
) -> None:
    """Take a job's result over."""
    await resources.training.finish(_worker(caller.key_id), job_id, result)


def _worker(key_id: str) -> Actor:
    return Actor("default", key_id)
