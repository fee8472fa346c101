"""Rollouts of the operator's assistants."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Response
from fastapi.responses import StreamingResponse

from services.contracts.assistants import AssistantName
from services.contracts.rollouts import Rollout, RolloutPage, RolloutWrite
from services.domain.rollouts.states import Event
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    ExpectedDep,
    Operator,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import rollouts
from services.gateway.rollouts.following import follow

router = APIRouter(prefix="/admin/assistants/{name}/rollouts", tags=["rollouts"])

NamePath = Annotated[AssistantName, Path()]
IdPath = Annotated[str, Path(pattern=r"^ro_[0-9a-f]{16}$")]

_EVENTS = {
    "pause": Event.PAUSE,
    "resume": Event.RESUME,
    "promote": Event.PROMOTE,
    "rollback": Event.ROLL_BACK,
    "abort": Event.ABORT,
}


@router.post("", status_code=201)
async def begin_rollout(
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
    name: NamePath,
    write: RolloutWrite,
) -> Rollout:
    """Begin to bring a candidate release into service, step by step."""
    return await resources.rollouts.begin(actor, name, write, attempt)


@router.get("")
async def list_rollouts(
    resources: ResourcesDep, operator: Operator, name: NamePath, page: PageDep
) -> RolloutPage:
    """List an assistant's rollouts, newest first."""
    data, has_more = await rollouts.listed(resources.registry, operator.tenant, name, page)
    return RolloutPage(data=list(data), has_more=has_more)


@router.get("/{rollout_id}")
async def get_rollout(
    resources: ResourcesDep,
    operator: Operator,
    response: Response,
    name: NamePath,
    rollout_id: IdPath,
) -> Rollout:
    """Describe a rollout, with what its checks say now; its `ETag` goes into `If-Match`."""
    found = await resources.rollouts.read(operator.tenant, name, rollout_id)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.get("/{rollout_id}/events", response_class=StreamingResponse)
async def follow_rollout(
    resources: ResourcesDep,
    operator: Operator,
    name: NamePath,
    rollout_id: IdPath,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> StreamingResponse:
    """Tell as an event stream what has happened to a rollout, and go on until it is over.

    `Last-Event-ID` leaves out what was told before a connection was lost.
    """
    registry, tenant = resources.registry, operator.tenant
    async with registry.database.read() as connection:
        await rollouts.find(connection, tenant, name, rollout_id)
    told = follow(registry, tenant, name, rollout_id, last_event_id)
    return StreamingResponse(
        told,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


@router.post("/{rollout_id}/{action}")
async def move_rollout(
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
    expected: ExpectedDep,
    name: NamePath,
    rollout_id: IdPath,
    action: Literal["pause", "resume", "promote", "rollback", "abort"],
) -> Rollout:
    """Pause a rollout, resume it, promote its candidate now, roll it back, or abort it."""
    event = _EVENTS[action]
    return await resources.rollouts.move(actor, name, rollout_id, event, expected, attempt)
