"""Evaluations in the registry: begun, and ended with a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, InvalidRequest, NotFound
from services.contracts.adapters import AdapterEvidence
from services.contracts.assistants import Release
from services.contracts.evaluations import (
    Evaluation,
    EvaluationReport,
    EvaluationRules,
    EvaluationSet,
)
from services.contracts.fine_tuning import JobEvaluation
from services.domain.evaluation.verdicts import in_words
from services.domain.rendering import prompt_hash
from services.domain.rollouts.states import State
from services.gateway.registry import releases, tables, training_jobs
from services.gateway.registry.changes import Change, Registry, Subject
from services.gateway.registry.paging import Page, page_of

_evaluations, _answers = tables.evaluations, tables.evaluation_answers


class EvaluationNotFound(NotFound):
    """The tenant has no such evaluation."""

    code = "evaluation_not_found"


class EvaluationOver(Conflict):
    """The evaluation is over; what it found stays."""

    code = "evaluation_over"


class NothingToCompare(InvalidRequest):
    """Baseline and candidate are the same release."""

    code = "nothing_to_compare"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an evaluation is to compare."""

    cases: EvaluationSet
    baseline: Release
    candidate: Release
    repeats: int
    rules: EvaluationRules
    seconds: float
    """How long it may take."""
    rollout: str | None = None
    gated_at: float | None = None
    """When the rollout came to its gate."""
    job: str | None = None
    """The training job that made the candidate's adapter."""


@dataclass(frozen=True, slots=True)
class Running:
    """An evaluation under way."""

    tenant: str
    evaluation: Evaluation
    deadline: float
    """When it is given up, in seconds since the epoch."""


async def begin(change: Change, wanted: Wanted) -> Evaluation:
    """Put an evaluation on record; the gateway that holds the lease asks its cases."""
    id_, candidate = f"ev_{token_hex(8)}", wanted.candidate
    await change.connection.execute(
        insert(_evaluations).values(
            tenant=change.actor.tenant,
            id=id_,
            cases=wanted.cases.id,
            dataset_hash=wanted.cases.dataset_hash,
            assistant=candidate.assistant,
            baseline=wanted.baseline.number,
            candidate=candidate.number,
            adapter=candidate.adapter,
            prompt_hash=prompt_hash(candidate.profile),
            rollout=wanted.rollout,
            gated_at=wanted.gated_at,
            job=wanted.job,
            repeats=wanted.repeats,
            rules=wanted.rules.model_dump(mode="json"),
            state="running",
            created_at=change.second,
            created_by=change.actor.key_id,
            deadline=change.now + wanted.seconds,
        )
    )
    detail = {
        "cases": wanted.cases.id,
        "dataset_hash": wanted.cases.dataset_hash,
        "baseline": wanted.baseline.id,
        "candidate": candidate.id,
        "rollout": wanted.rollout,
        "job": wanted.job,
    }
    await change.record("evaluation.begun", None, id_, detail)
    return await find(change.connection, change.actor.tenant, id_)


async def finish(change: Change, evaluation: Evaluation, report: EvaluationReport) -> None:
    """Write the report of an evaluation whose cases are all answered.

    A candidate that it adopts is on record as evaluated from here on.
    """
    found = report.comparison
    assert found is not None
    written = report.model_dump(mode="json")
    ended = await _end(
        change, evaluation.id, "done", found.reason, verdict=found.verdict, report=written
    )
    if not ended:
        return
    if evaluation.job is not None:
        told = in_words(found, name_of_baseline(evaluation))
        await training_jobs.judge(
            change,
            evaluation.job,
            JobEvaluation(
                id=evaluation.id,
                cases=evaluation.cases,
                state="done",
                verdict=found.verdict,
                said=told,
            ),
        )
    if found.verdict == "adopt":
        await releases.attest(change, evaluation.assistant, _number(evaluation.candidate))
        change.touched.add(Subject.ASSISTANTS)
    detail = {"verdict": found.verdict, "why": found.reason, "candidate": evaluation.candidate}
    await change.record("evaluation.done", None, evaluation.id, detail)


async def fail(change: Change, id_: str, reason: str) -> None:
    """Give an evaluation up."""
    if await _end(change, id_, "failed", reason):
        await _tell_job(change, id_)
        await change.record("evaluation.failed", None, id_, {"why": reason})


async def cancel(change: Change, id_: str) -> Evaluation:
    """Stop an evaluation; the answers so far stay.

    Raises:
        EvaluationOver: it is over already.
    """
    found = await find(change.connection, change.actor.tenant, id_)
    if not await _end(change, id_, "cancelled", change.actor.reason):
        raise EvaluationOver(f"The evaluation {id_!r} is {found.state}; begin another one.")
    await _tell_job(change, id_)
    await change.record("evaluation.cancelled", None, id_)
    return await find(change.connection, change.actor.tenant, id_)


async def _tell_job(change: Change, id_: str) -> None:
    """Let the job whose result was judged know that there is no verdict."""
    found = await find(change.connection, change.actor.tenant, id_)
    if found.job is None:
        return
    why = f": {found.reason}" if found.reason else ""
    said = f"The comparison {id_} was {found.state}{why}"
    told = JobEvaluation(id=id_, cases=found.cases, state=found.state, said=said)
    await training_jobs.judge(change, found.job, told)


def name_of_baseline(evaluation: Evaluation) -> str:
    """Name what a candidate is compared with, for a reader."""
    return "the base" if evaluation.assistant == evaluation.job else evaluation.baseline


async def find(connection: AsyncConnection, tenant: str, id_: str) -> Evaluation:
    """Read one evaluation with its report.

    Raises:
        EvaluationNotFound: the tenant has none of that id.
    """
    mine = (_evaluations.c.tenant == tenant, _evaluations.c.id == id_)
    row = (await connection.execute(_described(_evaluations.c.report).where(*mine))).one_or_none()
    if row is None:
        raise EvaluationNotFound(f"There is no evaluation {id_!r}.")
    report = EvaluationReport.received(row.report) if row.report else None
    return _evaluation_of(row, report)


async def of_adapter(connection: AsyncConnection, tenant: str, id_: str) -> list[AdapterEvidence]:
    """List what evaluations said of an adapter version, newest first."""
    table = _evaluations.c
    query = select(_evaluations).where(
        table.tenant == tenant, table.adapter == id_, table.verdict.is_not(None)
    )
    rows = await connection.execute(query.order_by(table.finished_at.desc(), table.id))
    return [
        AdapterEvidence(
            evaluation=row.id,
            assistant=row.assistant,
            cases=row.cases,
            verdict=row.verdict,
            reason=row.reason,
            finished_at=row.finished_at,
        )
        for row in rows
    ]


async def of_gate(
    connection: AsyncConnection, tenant: str, rollout: str, gated_at: float
) -> Evaluation | None:
    """Read the evaluation that a rollout's gate has begun; None before it did."""
    found = await connection.scalar(
        select(_evaluations.c.id).where(
            _evaluations.c.tenant == tenant,
            _evaluations.c.rollout == rollout,
            _evaluations.c.gated_at == gated_at,
        )
    )
    return None if found is None else await find(connection, tenant, found)


async def outdated(connection: AsyncConnection, tenant: str, evaluation: Evaluation) -> bool:
    """Tell whether the rollout that an evaluation is the gate of stands elsewhere by now."""
    if evaluation.rollout is None:
        return False
    table = tables.rollouts.c
    stands = await connection.scalar(
        select(table.entered_at)
        .join(
            _evaluations,
            (_evaluations.c.tenant == table.tenant)
            & (_evaluations.c.rollout == table.id)
            & (_evaluations.c.gated_at == table.entered_at),
        )
        .where(
            table.tenant == tenant,
            table.state == State.GATING,
            _evaluations.c.id == evaluation.id,
        )
    )
    return stands is None


async def running(connection: AsyncConnection) -> list[Running]:
    """Read the evaluations of all tenants that are not over, oldest first."""
    query = _described().where(_evaluations.c.state == "running")
    rows = await connection.execute(query.order_by(_evaluations.c.created_at, _evaluations.c.id))
    return [Running(row.tenant, _evaluation_of(row), row.deadline) for row in rows]


async def listed(registry: Registry, tenant: str, page: Page) -> tuple[Sequence[Evaluation], bool]:
    """Read a tenant's evaluations, newest first, and whether there are more."""
    order = (_evaluations.c.created_at, _evaluations.c.id)
    query = _described().where(_evaluations.c.tenant == tenant)
    async with registry.database.read() as connection:
        rows, more = await page_of(connection, query, page, order=order, id_=_evaluations.c.id)
    return [_evaluation_of(row) for row in rows], more


async def _end(
    change: Change,
    id_: str,
    state: str,
    reason: str | None,
    *,
    verdict: str | None = None,
    report: Any = None,
) -> bool:
    """End an evaluation that runs, and tell whether it did."""
    row = (_evaluations.c.tenant == change.actor.tenant, _evaluations.c.id == id_)
    ended = await change.connection.execute(
        update(_evaluations)
        .where(*row, _evaluations.c.state == "running")
        .values(
            state=state,
            reason=reason,
            verdict=verdict,
            report=report,
            finished_at=change.second,
        )
    )
    return bool(ended.rowcount)


def _described(*more: Any) -> Select[Any]:
    """Select evaluations without their reports, which may be long."""
    sets = tables.evaluation_sets.c
    count = (
        select(sets.count)
        .where(
            sets.tenant == _evaluations.c.tenant,
            sets.name == _evaluations.c.cases,
            sets.hash == _evaluations.c.dataset_hash,
        )
        .scalar_subquery()
    )
    done = (
        select(func.count())
        .select_from(_answers)
        .where(
            _answers.c.tenant == _evaluations.c.tenant,
            _answers.c.evaluation == _evaluations.c.id,
        )
        .scalar_subquery()
    )
    light = [column for column in _evaluations.c if column is not _evaluations.c.report]
    return select(*light, *more, count.label("asked"), done.label("done"))


def _evaluation_of(row: Row[Any], report: EvaluationReport | None = None) -> Evaluation:
    return Evaluation.received(
        {
            "id": row.id,
            "cases": row.cases,
            "dataset_hash": row.dataset_hash,
            "assistant": row.assistant,
            "baseline": f"{row.assistant}/{row.baseline}",
            "candidate": f"{row.assistant}/{row.candidate}",
            "adapter": row.adapter,
            "rollout": row.rollout,
            "job": row.job,
            "repeats": row.repeats,
            "rules": row.rules,
            "state": row.state,
            "answered": row.done,
            "total": row.repeats * row.asked if row.asked is not None else row.done,
            "verdict": row.verdict,
            "reason": row.reason,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "finished_at": row.finished_at,
            "report": report,
        }
    )


def _number(release_id: str) -> int:
    return int(release_id.rpartition("/")[2])
