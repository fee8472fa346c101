"""Evaluations of the operator's assistants, and the sets of cases that they ask."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.contracts.evaluations import (
    Evaluation,
    EvaluationAnswerPage,
    EvaluationPage,
    EvaluationSet,
    EvaluationSetPage,
    EvaluationWrite,
    SetName,
)
from services.contracts.knowledge import Deleted
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    ExpectedDep,
    Operator,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import evaluation_answers, evaluation_sets, evaluations, idempotency

router = APIRouter(prefix="/admin", tags=["evaluations"])

SetPath = Annotated[SetName, Path()]
IdPath = Annotated[str, Path(pattern=r"^ev_[0-9a-f]{16}$")]

_LINES = {
    "requestBody": {
        "required": True,
        "content": {"application/jsonl": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/evaluation-sets/{name}", openapi_extra=_LINES)
async def put_evaluation_set(
    request: Request,
    resources: ResourcesDep,
    actor: ActorDep,
    expected: ExpectedDep,
    response: Response,
    name: SetPath,
) -> EvaluationSet:
    """Make JSON lines the cases of a set; the same cases again change nothing."""
    body = await request.body()
    put = await resources.evaluations.desk.put_set(actor, name, body, expected)
    response.headers["ETag"] = f'"{put.version}"'
    return put


@router.get("/evaluation-sets")
async def list_evaluation_sets(
    resources: ResourcesDep, operator: Operator, page: PageDep
) -> EvaluationSetPage:
    """List the tenant's sets by name."""
    data, has_more = await evaluation_sets.listed(resources.registry, operator.tenant, page)
    return EvaluationSetPage(data=list(data), has_more=has_more)


@router.get("/evaluation-sets/{name}")
async def get_evaluation_set(
    resources: ResourcesDep, operator: Operator, response: Response, name: SetPath
) -> EvaluationSet:
    """Describe a set; its `ETag` goes into `If-Match` of a later change."""
    async with resources.registry.database.read() as connection:
        found = await evaluation_sets.find(connection, operator.tenant, name)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.delete("/evaluation-sets/{name}")
async def delete_evaluation_set(
    resources: ResourcesDep, actor: ActorDep, expected: ExpectedDep, name: SetPath
) -> Deleted:
    """Remove a set; the reports that were made with it stay."""
    await evaluation_sets.remove(resources.registry, actor, name, expected)
    return Deleted(id=name, object="evaluation_set.deleted")


@router.post("/evaluations", status_code=201)
async def begin_evaluation(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, write: EvaluationWrite
) -> Evaluation:
    """Begin to evaluate a candidate beside what an assistant serves, on the same passages.

    The gateway asks the cases itself, behind the requests of callers, and goes on after a restart.
    """
    return await resources.evaluations.desk.begin(actor, write, attempt)


@router.get("/evaluations")
async def list_evaluations(
    resources: ResourcesDep, operator: Operator, page: PageDep
) -> EvaluationPage:
    """List the tenant's evaluations, newest first."""
    data, has_more = await evaluations.listed(resources.registry, operator.tenant, page)
    return EvaluationPage(data=list(data), has_more=has_more)


@router.get("/evaluations/{evaluation_id}")
async def get_evaluation(
    resources: ResourcesDep, operator: Operator, evaluation_id: IdPath
) -> Evaluation:
    """Describe an evaluation, with its report when it is done."""
    async with resources.registry.database.read() as connection:
        return await evaluations.find(connection, operator.tenant, evaluation_id)


@router.get("/evaluations/{evaluation_id}/answers")
async def list_evaluation_answers(
    resources: ResourcesDep, operator: Operator, evaluation_id: IdPath, page: PageDep
) -> EvaluationAnswerPage:
    """List what both arms answered, by case, with what each check said."""
    data, has_more = await evaluation_answers.listed(
        resources.registry, operator.tenant, evaluation_id, page
    )
    return EvaluationAnswerPage(data=list(data), has_more=has_more)


@router.post("/evaluations/{evaluation_id}/cancel")
async def cancel_evaluation(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, evaluation_id: IdPath
) -> Evaluation:
    """Stop an evaluation; the answers so far stay."""
    what = f"cancel {evaluation_id}"
    async with resources.registry.change(actor) as change:
        act = partial(evaluations.cancel, change, evaluation_id)
        return await idempotency.once(change, attempt, what, act, Evaluation)
