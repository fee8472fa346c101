"""The gate of a rollout, held by an evaluation of its candidate beside the stable release."""

from __future__ import annotations

from dataclasses import dataclass

from services.chassis.errors import ServiceError
from services.contracts.evaluations import Evaluation, EvaluationRules
from services.contracts.rollouts import Gate
from services.domain.rollouts.states import Event
from services.gateway.registry import evaluation_sets, evaluations, releases
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.evaluations import Wanted
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Decision

_EVENTS = {"adopt": Event.ADOPT, "reject": Event.REJECT, "insufficient": Event.INCONCLUDE}


@dataclass(frozen=True, slots=True)
class EvaluationGate:
    """Begins the evaluation of a candidate and tells what it has come to."""

    registry: Registry

    async def check(self, change: Change, gate: Gate) -> None:
        """Check that the set is there.

        Raises:
            EvaluationSetNotFound: the tenant has none of that name.
        """
        await evaluation_sets.find(change.connection, change.actor.tenant, gate.cases)

    async def verdict(self, standing: Standing) -> Decision | None:
        """Say what the evaluation has come to, and begin it when there is none."""
        rollout = standing.rollout
        async with self.registry.database.read() as connection:
            found = await evaluations.of_gate(
                connection, standing.tenant, rollout.id, rollout.entered_at
            )
        if found is not None:
            return _decision(found)
        try:
            await self._begin(standing)
        except ServiceError as error:
            return Decision(Event.INCONCLUDE, f"the evaluation cannot begin: {error.message}")
        return None

    async def _begin(self, standing: Standing) -> None:
        rollout, gate = standing.rollout, standing.rollout.gate
        assert gate is not None
        actor = Actor(standing.tenant, rollout.created_by, f"the gate of {rollout.id}")
        async with self.registry.change(actor) as change:
            connection, tenant = change.connection, standing.tenant
            # Two controllers may both believe that it is their turn.
            if await evaluations.of_gate(connection, tenant, rollout.id, rollout.entered_at):
                return
            baseline = await releases.named(connection, tenant, rollout.stable)
            candidate = await releases.named(connection, tenant, rollout.candidate)
            await evaluations.begin(
                change,
                Wanted(
                    cases=await evaluation_sets.find(connection, tenant, gate.cases),
                    baseline=baseline,
                    candidate=candidate,
                    repeats=gate.repeats,
                    rules=EvaluationRules(margin=gate.margin, guard_margin=gate.guard_margin),
                    seconds=gate.max_duration_seconds,
                    rollout=rollout.id,
                    gated_at=rollout.entered_at,
                ),
            )


def _decision(evaluation: Evaluation) -> Decision | None:
    reason = f"{evaluation.id} by {evaluation.cases!r}: {evaluation.reason or evaluation.state}"
    if evaluation.state == "running":
        return None
    if evaluation.verdict is None:
        return Decision(Event.INCONCLUDE, reason)
    return Decision(_EVENTS[evaluation.verdict], reason)
