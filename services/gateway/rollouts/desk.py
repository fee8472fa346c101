"""Rollouts as operators handle them."""

from __future__ import annotations

from dataclasses import dataclass

from services.chassis.errors import Conflict, InvalidRequest
from services.contracts.assistants import Release
from services.contracts.rollouts import Rollout, RolloutWrite
from services.domain.rollouts.states import Event, State
from services.gateway.binding import Binding
from services.gateway.registry import (
    assistants,
    evaluation_sets,
    idempotency,
    releases,
    rollouts,
    versions,
)
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.versions import Expected
from services.gateway.rollouts.analysing import answered, averages_of, seen_of, shown
from services.gateway.rollouts.gatekeeping import Gatekeeper
from services.gateway.rollouts.measuring import Measuring
from services.gateway.rollouts.moving import Mover


class NothingToRollOut(Conflict):
    """The assistant serves the bundle already."""

    code = "nothing_to_roll_out"


class ShadowOfRetrieval(InvalidRequest):
    """The candidate looks things up in another way, which a shadow cannot show."""

    code = "shadow_of_retrieval"


class EvaluationMissing(Conflict):
    """No evaluation stands behind the adapter that is to be rolled out."""

    code = "evaluation_missing"


class RolloutChanged(Conflict):
    """Somebody else moved the rollout in between."""

    code = "rollout_changed"


@dataclass(frozen=True, slots=True)
class RolloutDesk:
    """Begins rollouts, and moves them by hand."""

    registry: Registry
    binding: Binding
    mover: Mover
    gatekeeper: Gatekeeper
    """Evaluates candidates before anybody meets them."""
    measuring: Measuring
    """Knows what a Prometheus says of them."""

    async def begin(
        self, actor: Actor, name: str, write: RolloutWrite, attempt: Attempt | None
    ) -> Rollout:
        """Make a candidate release and begin to roll it out.

        Raises:
            ServiceError: the first reason why it cannot be; the assistant is as it was.
        """
        asked = f"rollout {name} {write.model_dump_json()}"
        async with self.registry.change(actor) as change:
            if attempt is not None:
                told = await idempotency.replay(change, attempt, asked)
                if told is not None:
                    return Rollout.received(told[1])
            begun = await self._begin(change, name, write)
            if attempt is not None:
                reply = begun.model_dump(mode="json")
                await idempotency.remember(change, attempt, asked, 201, reply)
            return begun

    async def move(
        self,
        actor: Actor,
        name: str,
        id_: str,
        event: Event,
        expected: Expected = None,
        attempt: Attempt | None = None,
    ) -> Rollout:
        """Move a rollout by hand.

        Raises:
            RolloutChanged: it is not at the expected version.
        """
        async with self.registry.change(actor) as change:

            async def act() -> Rollout:
                return await self._move(change, name, id_, event, expected)

            return await idempotency.once(change, attempt, f"{event} {name} {id_}", act, Rollout)

    async def _move(
        self, change: Change, name: str, id_: str, event: Event, expected: Expected
    ) -> Rollout:
        standing = await rollouts.find(change.connection, change.actor.tenant, name, id_)
        version = standing.rollout.version
        versions.check(f"The rollout {id_!r}", version, expected, RolloutChanged)
        return await self.mover.move(change, standing, event, reason=change.actor.reason)

    async def read(self, tenant: str, name: str, id_: str) -> Rollout:
        """Read a rollout, with what its checks say now."""
        async with self.registry.database.read() as connection:
            standing = await rollouts.find(connection, tenant, name, id_)
            seen = await seen_of(connection, standing)
            arms = await averages_of(connection, standing)
        checks = [shown(finding) for finding in seen.findings] if seen else []
        canary = standing.progress.state is State.CANARY
        queries = [answered(each) for each in self.measuring.of(standing)] if canary else []
        return standing.rollout.model_copy(
            update={
                "answers": seen.answers if seen else 0,
                "checks": checks,
                "arms": arms,
                "queries": queries,
            }
        )

    async def _begin(self, change: Change, name: str, write: RolloutWrite) -> Rollout:
        current = await assistants.find(change.connection, change.actor.tenant, name)
        await self._check_stages(change, write, current.stable)
        mismatch = await self.binding.check(change, name, write.bundle)
        if releases.serves(current.stable, write.bundle, prompt_mismatch=mismatch):
            raise NothingToRollOut(f"{name!r} serves this already as {current.stable.id}.")
        await _check_evidence(change, current.stable, write)
        number = await releases.create(change, name, write.bundle, prompt_mismatch=mismatch)
        stable = current.stable.number
        return await rollouts.begin(change, name, write, stable=stable, candidate=number)

    async def _check_stages(self, change: Change, write: RolloutWrite, stable: Release) -> None:
        if write.shadowing is not None and write.bundle.retrieval != stable.retrieval:
            raise ShadowOfRetrieval(
                "A shadow answers over the passages that the stable release was given, so that it "
                "cannot show another way to look things up; use the strategy `canary`.",
                param="strategy",
            )
        self.measuring.check(write.analysis)
        if write.gate is not None:
            await self.gatekeeper.check(change, write.gate)
        if write.analysis is not None and (replay := write.analysis.replay) is not None:
            await evaluation_sets.find(change.connection, change.actor.tenant, replay.cases)


async def _check_evidence(change: Change, stable: Release, write: RolloutWrite) -> None:
    """Refuse a new adapter that nothing speaks for, and that is not to be evaluated first."""
    adapter = write.bundle.adapter
    if adapter in (None, stable.adapter) or write.gate or write.allow_without_evidence:
        return
    if not await releases.evaluated(change, adapter, write.bundle.profile):
        raise EvaluationMissing(
            f"No evaluation has adopted {adapter!r} under this prompt; give the rollout a gate, "
            "evaluate it with POST /admin/evaluations, or set allow_without_evidence.",
            param="bundle.adapter",
        )
