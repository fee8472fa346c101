"""Before and after: what a training made, compared with what was there before.

The job's assistant answers the cases as it serves now, and with the new adapter; where the job
names no assistant, the plain base does, under the profile that was trained for. Those two are
releases that bear the job's id and that nobody is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.errors import ServiceError
from services.contracts.assistants import AssistantWrite, Profile, Release
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import EvaluationRules, EvaluationSet
from services.contracts.fine_tuning import JobEvaluation
from services.contracts.jobs import TrainingJob
from services.gateway.binding import Binding
from services.gateway.registry import (
    adapters,
    assistants,
    evaluation_sets,
    evaluations,
    releases,
)
from services.gateway.registry.changes import Change
from services.gateway.registry.evaluations import Wanted

NOT_COMPARED = "Not compared with what was there before"

NO_CASES = (
    f"{NOT_COMPARED}: no rows were held out; name a set of cases with `evaluation`, send a "
    "`validation_file`, or train on 100 rows or more. Without a report it cannot be rolled out."
)


@dataclass(frozen=True, slots=True)
class TrainingJudge:
    """Begins comparisons; the gateway that holds the lease asks the cases."""

    binding: Binding
    max_cases: int
    max_duration_seconds: float

    async def begin(
        self, change: Change, job: TrainingJob, version: str, cases: Sequence[EvaluationCase]
    ) -> JobEvaluation:
        """Begin to compare a version, or say why that cannot be; the job has succeeded either way.

        Args:
            change: the one that ends the job, on behalf of its owner.
            cases: made of rows that were not trained on.
        """
        if job.spec.evaluation is None and not cases:
            return JobEvaluation(id=None, state="failed", said=NO_CASES)
        try:
            return await self._begin(change, job, version, cases)
        except ServiceError as error:
            return JobEvaluation(id=None, state="failed", said=f"{NOT_COMPARED}: {error.message}")

    async def _begin(
        self, change: Change, job: TrainingJob, version: str, cases: Sequence[EvaluationCase]
    ) -> JobEvaluation:
        baseline, candidate = await self._bundles(change, job, version)
        name = job.spec.assistant or job.id
        # Whatever may be refused is asked before anything is written.
        chosen = await self._named(change, job)
        mismatch = await self.binding.check(change, name, candidate)
        chosen = chosen or await evaluation_sets.set_cases(change, job.id, cases[: self.max_cases])
        if isinstance(baseline, AssistantWrite):
            baseline = await _released(change, name, baseline, mismatch=False)
        after = await _released(change, name, candidate, mismatch=mismatch)
        for adapter in {baseline.adapter, version} - {None}:
            await adapters.want(change, str(adapter), seconds=self.max_duration_seconds)
        begun = await evaluations.begin(
            change,
            Wanted(
                chosen, baseline, after, 1, EvaluationRules(), self.max_duration_seconds, job=job.id
            ),
        )
        before = evaluations.name_of_baseline(begun)
        return JobEvaluation(
            id=begun.id,
            cases=chosen.id,
            state="running",
            said=f"Comparing {version} with {before} on the {chosen.cases} cases of {chosen.id}",
        )

    async def _bundles(
        self, change: Change, job: TrainingJob, version: str
    ) -> tuple[Release | AssistantWrite, AssistantWrite]:
        """Say what is compared: what was there before, and the same with the new version."""
        spec, tenant = job.spec, change.actor.tenant
        if spec.assistant is None:
            before = AssistantWrite(profile=spec.profile or Profile())
            return before, before.model_copy(update={"adapter": version})
        stable = (await assistants.find(change.connection, tenant, spec.assistant)).stable
        if stable.adapter == version:
            raise evaluations.NothingToCompare(
                f"{spec.assistant!r} serves {version} already; change the rows or the recipe."
            )
        after = AssistantWrite(profile=stable.profile, retrieval=stable.retrieval, adapter=version)
        return stable, after

    async def _named(self, change: Change, job: TrainingJob) -> EvaluationSet | None:
        if job.spec.evaluation is None:
            return None
        tenant = change.actor.tenant
        return await evaluation_sets.find(change.connection, tenant, job.spec.evaluation)


async def _released(change: Change, name: str, write: AssistantWrite, *, mismatch: bool) -> Release:
    number = await releases.create(change, name, write, prompt_mismatch=mismatch)
    return await releases.find(change.connection, change.actor.tenant, name, number)
