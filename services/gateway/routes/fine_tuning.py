"""`/v1/fine_tuning/jobs`: OpenAI's fine-tuning jobs."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.contracts.fine_tuning import (
    FineTuningCheckpointPage,
    FineTuningEventPage,
    FineTuningJob,
    FineTuningJobCreate,
    FineTuningJobPage,
)
from services.gateway.dependencies import ActorDep, AttemptDep, Operator, ResourcesDep
from services.gateway.registry.paging import Page

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

_METADATA = re.compile(r"metadata\[(.+)\]")

LimitQuery = Annotated[int, Query(ge=1, le=100)]
AfterQuery = Annotated[str | None, Query(max_length=64)]


@router.post("")
async def create_job(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, body: FineTuningJobCreate
) -> FineTuningJob:
    """Queue a fine-tuning job on an uploaded file."""
    return await resources.fine_tuning.create(actor, body, attempt)


@router.get("")
async def list_jobs(
    request: Request,
    resources: ResourcesDep,
    operator: Operator,
    limit: LimitQuery = 20,
    after: AfterQuery = None,
) -> FineTuningJobPage:
    """List the tenant's jobs, newest first; `metadata[key]=value` keeps those that carry it."""
    wanted = {
        found[1]: value
        for name, value in request.query_params.items()
        if (found := _METADATA.fullmatch(name))
    }
    data, has_more = await resources.fine_tuning.listed(
        operator.tenant, Page(limit, after), wanted or None
    )
    return FineTuningJobPage(data=list(data), has_more=has_more)


@router.get("/{job_id}")
async def get_job(resources: ResourcesDep, operator: Operator, job_id: str) -> FineTuningJob:
    """Describe a job."""
    return await resources.fine_tuning.one(operator.tenant, job_id)


@router.post("/{job_id}/cancel")
async def cancel_job(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, job_id: str
) -> FineTuningJob:
    """Cancel a job; a running one stops within seconds."""
    return await resources.fine_tuning.steer(actor, job_id, "cancel", attempt)


@router.post("/{job_id}/pause")
async def pause_job(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, job_id: str
) -> FineTuningJob:
    """Pause a job; it keeps its last checkpoint."""
    return await resources.fine_tuning.steer(actor, job_id, "pause", attempt)


@router.post("/{job_id}/resume")
async def resume_job(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, job_id: str
) -> FineTuningJob:
    """Let a paused job go on."""
    return await resources.fine_tuning.steer(actor, job_id, "resume", attempt)


@router.get("/{job_id}/events")
async def list_events(
    resources: ResourcesDep,
    operator: Operator,
    job_id: str,
    limit: LimitQuery = 20,
    after: AfterQuery = None,
) -> FineTuningEventPage:
    """List what happened to a job, newest first."""
    data, has_more = await resources.fine_tuning.events(operator.tenant, job_id, Page(limit, after))
    return FineTuningEventPage(data=list(data), has_more=has_more)


@router.get("/{job_id}/checkpoints")
async def list_checkpoints(
    resources: ResourcesDep, operator: Operator, job_id: str
) -> FineTuningCheckpointPage:
    """List the models that a job left behind."""
    data = await resources.fine_tuning.checkpoints(operator.tenant, job_id)
    return FineTuningCheckpointPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
    )
