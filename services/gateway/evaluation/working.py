"""The work on evaluations under way: one gateway at a time asks their cases, a few at once.

Each case that both arms have answered is a row; whoever comes after a gateway that was killed asks
only the cases that have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from uuid import uuid4

import structlog
from prometheus_client import Counter

from services.contracts.adapters import ReplicaAdapterState
from services.contracts.assistants import Release
from services.contracts.evaluation_cases import EvaluationCase
from services.domain.evaluation.figures import Run, report_of
from services.gateway.evaluation.asking import Asker, Away, in_the_name_of
from services.gateway.registry import (
    evaluation_answers,
    evaluation_sets,
    evaluations,
    leases,
    releases,
)
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.evaluations import Running
from services.gateway.registry.snapshot import Caller

LEASE = "evaluations"
ACTOR = "evaluator"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """An evaluation with everything that its cases are asked with."""

    running: Running
    caller: Caller
    cases: Sequence[EvaluationCase]
    baseline: Release
    candidate: Release


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Works on evaluations."""

    registry: Registry
    asker: Asker
    concurrent: int
    """Cases that are asked at the same time."""
    lease_seconds: float
    asked: Counter
    """Counts the cases that both arms answered."""
    name: str = field(default_factory=lambda: uuid4().hex)
    """What this gateway calls itself as the lease's holder."""
    _cases: dict[str, Sequence[EvaluationCase]] = field(default_factory=dict)
    """Of the evaluations under way, by id; reading a long set takes a while."""

    async def work(self) -> None:
        """Ask a few cases of each evaluation in turn, until none is left or nobody can answer."""
        while under_way := await self._under_way():
            if not await self._is_mine():
                return
            for over in self._cases.keys() - {each.evaluation.id for each in under_way}:
                del self._cases[over]
            if not all([await self._looked_at(running) for running in under_way]):
                return

    async def _looked_at(self, running: Running) -> bool:
        """Go on with an evaluation, and tell whether it is worth coming back to it at once."""
        try:
            await self._continue(running)
        except Away as error:
            _log.info("evaluation.waiting", evaluation=running.evaluation.id, why=str(error))
            return False
        except Exception:  # noqa: BLE001 - one that breaks holds up none of the others
            _log.warning("evaluation.failing", evaluation=running.evaluation.id, exc_info=True)
            return False
        return True

    async def _under_way(self) -> list[Running]:
        async with self.registry.database.read() as connection:
            return await evaluations.running(connection)

    async def _is_mine(self) -> bool:
        return await leases.hold(self.registry, LEASE, self.name, seconds=self.lease_seconds)

    async def _continue(self, running: Running) -> None:
        """Ask the next cases of an evaluation, or write its report when all are answered."""
        if self.registry.clock() > running.deadline:
            await self._fail(running, "it was not over in its time; begin it anew")
            return
        async with self.registry.database.read() as connection:
            outdated = await evaluations.outdated(connection, running.tenant, running.evaluation)
        if outdated:
            await self._fail(running, "its rollout no longer waits at this gate")
            return
        if (refused := self._refused(running.evaluation.adapter)) is not None:
            await self._fail(running, refused)
            return
        task = await self._task(running)
        missing = await self._missing(task)
        if not missing:
            await self._finish(task)
            return
        await self._ask(task, missing[: self.concurrent])

    async def _ask(self, task: _Task, chosen: Sequence[tuple[EvaluationCase, int]]) -> None:
        """Ask some cases at once; what is answered is kept, whatever becomes of the others."""
        asked = [self._ask_one(task, case, repeat) for case, repeat in chosen]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _ask_one(self, task: _Task, case: EvaluationCase, repeat: int) -> None:
        pair = await self.asker.both(task.caller, case, task.baseline, task.candidate, repeat)
        await evaluation_answers.record(self.registry, task.running, *pair)
        self.asked.inc()

    def _refused(self, adapter: str | None) -> str | None:
        """Say why no live replica can serve the candidate's adapter; None while one may."""
        live = [replica for replica in self.registry.keeper.current.replicas if replica.live]
        said = [replica.adapters.get(adapter or "") for replica in live]
        if not said or any(one is None or one.state != ReplicaAdapterState.FAILED for one in said):
            return None
        why = next((one.reason for one in said if one and one.reason), "they gave no reason")
        return f"no replica can serve {adapter!r}: {why.rstrip('.')}"

    async def _task(self, running: Running) -> _Task:
        evaluation, tenant = running.evaluation, running.tenant
        async with self.registry.database.read() as connection:
            if evaluation.id not in self._cases:
                self._cases[evaluation.id] = await evaluation_sets.cases_of(
                    connection, tenant, evaluation.cases, evaluation.dataset_hash
                )
            baseline = await releases.named(connection, tenant, evaluation.baseline)
            candidate = await releases.named(connection, tenant, evaluation.candidate)
        caller = in_the_name_of(self.registry.keeper.current, tenant, evaluation.created_by)
        return _Task(running, caller, self._cases[evaluation.id], baseline, candidate)

    async def _missing(self, task: _Task) -> list[tuple[EvaluationCase, int]]:
        evaluation = task.running.evaluation
        async with self.registry.database.read() as connection:
            done = await evaluation_answers.answered(connection, task.running.tenant, evaluation.id)
        wanted = product(range(evaluation.repeats), task.cases)
        return [(case, repeat) for repeat, case in wanted if (case.id, repeat) not in done]

    async def _finish(self, task: _Task) -> None:
        evaluation, tenant = task.running.evaluation, task.running.tenant
        async with self.registry.database.read() as connection:
            first, other = await evaluation_answers.of_both(connection, tenant, evaluation.id)
        # Resampling takes a while for many cases, and callers are answered meanwhile.
        report = await asyncio.to_thread(
            report_of,
            task.cases,
            Run(evaluation.baseline, first),
            Run(evaluation.candidate, other),
            evaluation.rules,
        )
        report = report.model_copy(update={"judges": self.asker.judging.names})
        async with self.registry.change(Actor(tenant, ACTOR)) as change:
            await evaluations.finish(change, evaluation, report)

    async def _fail(self, running: Running, reason: str) -> None:
        async with self.registry.change(Actor(running.tenant, ACTOR)) as change:
            await evaluations.fail(change, running.evaluation.id, reason)
