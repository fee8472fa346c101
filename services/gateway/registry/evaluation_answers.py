"""What evaluations were answered: one row for a case, its repeat and both arms."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import String, cast, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.evaluations import AnswerResult, EvaluationAnswer
from services.gateway.registry import evaluations, tables
from services.gateway.registry.changes import Registry
from services.gateway.registry.evaluations import Running
from services.gateway.registry.paging import Page, page_of

_answers = tables.evaluation_answers


async def record(
    registry: Registry, running: Running, baseline: AnswerResult, candidate: AnswerResult
) -> None:
    """Write what both arms answered to a case; a second answer to it changes nothing."""
    dialect = sqlite if registry.database.dialect == "sqlite" else postgresql
    row = dialect.insert(_answers).values(
        tenant=running.tenant,
        evaluation=running.evaluation.id,
        case_id=baseline.case,
        repeat=baseline.repeat,
        baseline=baseline.model_dump(mode="json"),
        candidate=candidate.model_dump(mode="json"),
    )
    async with registry.database.append() as connection:
        await connection.execute(row.on_conflict_do_nothing())


async def answered(connection: AsyncConnection, tenant: str, id_: str) -> set[tuple[str, int]]:
    """List the cases that are answered, each with its repeat."""
    mine = (_answers.c.tenant == tenant, _answers.c.evaluation == id_)
    rows = await connection.execute(select(_answers.c.case_id, _answers.c.repeat).where(*mine))
    return {(row.case_id, row.repeat) for row in rows}


async def of_both(
    connection: AsyncConnection, tenant: str, id_: str
) -> tuple[list[AnswerResult], list[AnswerResult]]:
    """Read everything that the baseline and the candidate answered."""
    mine = (_answers.c.tenant == tenant, _answers.c.evaluation == id_)
    rows = (await connection.execute(select(_answers).where(*mine))).all()
    return (
        [AnswerResult.received(row.baseline) for row in rows],
        [AnswerResult.received(row.candidate) for row in rows],
    )


async def listed(
    registry: Registry, tenant: str, id_: str, page: Page
) -> tuple[Sequence[EvaluationAnswer], bool]:
    """Read the answers of an evaluation by case, and whether there are more."""
    name = _answers.c.case_id.concat("#").concat(cast(_answers.c.repeat, String))
    mine = (_answers.c.tenant == tenant, _answers.c.evaluation == id_)
    async with registry.database.read() as connection:
        await evaluations.find(connection, tenant, id_)
        rows, more = await page_of(
            connection,
            select(*_answers.c, name.label("id")).where(*mine),
            page,
            order=(_answers.c.case_id, _answers.c.repeat),
            id_=name,
            ascending=True,
        )
    data = [
        EvaluationAnswer(
            id=row.id,
            baseline=AnswerResult.received(row.baseline),
            candidate=AnswerResult.received(row.candidate),
        )
        for row in rows
    ]
    return data, more
