"""The controller: looks at every rollout under way and moves it when its time has come.

Every gateway runs one, and the one that holds the lease acts. Each move is one transaction that
counts only where the rollout still stands as it was seen, so that a controller that was killed, or
two that both believe to hold the lease, leave nothing half done and do nothing twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import uuid4

import structlog

from services.chassis.errors import ServiceError
from services.domain.rollouts.states import Event, State
from services.gateway.binding import AdapterFailed, unproven
from services.gateway.registry import leases, rollouts
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.analysing import seen_of
from services.gateway.rollouts.deciding import (
    Decision,
    Seen,
    on_canary,
    on_gating,
    on_shadowing,
    on_warming,
)
from services.gateway.rollouts.gatekeeping import Gatekeeper
from services.gateway.rollouts.measuring import Measuring
from services.gateway.rollouts.moving import Mover

_log = structlog.get_logger(__name__)

LEASE = "rollouts"
ACTOR = "controller"


@dataclass(frozen=True, slots=True)
class Controller:
    """Moves rollouts."""

    registry: Registry
    mover: Mover
    lease_seconds: float
    gatekeeper: Gatekeeper
    """Evaluates candidates before anybody meets them."""
    measuring: Measuring
    """Knows what a Prometheus says of them."""
    name: str = field(default_factory=lambda: uuid4().hex)
    """What this gateway calls itself as the lease's holder."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> None:
        """Look at every rollout once; without one this is a single small query."""
        async with self._turn:
            async with self.registry.database.read() as connection:
                standing = await rollouts.active(connection)
            if not standing or not await leases.hold(
                self.registry, LEASE, self.name, seconds=self.lease_seconds
            ):
                return
            for each in standing:
                await self._look_at(each)

    async def _look_at(self, standing: Standing) -> None:
        decision = await self._decide(standing)
        if decision is None:
            return
        actor = Actor(standing.tenant, ACTOR, decision.reason)
        rollout = standing.rollout
        try:
            async with self.registry.change(actor) as change:
                current = await rollouts.find(
                    change.connection, standing.tenant, rollout.assistant, rollout.id
                )
                if current.rollout.version != rollout.version:
                    return
                moved = await self.mover.move(
                    change, current, decision.event, reason=decision.reason
                )
        except ServiceError as error:
            _log.warning("rollout.not_moved", rollout=rollout.id, reason=error.message)
            return
        _log.info(
            "rollout.moved",
            rollout=moved.id,
            assistant=moved.assistant,
            state=moved.state,
            step=moved.step,
            why=decision.reason,
        )

    async def _decide(self, standing: Standing) -> Decision | None:
        now, rollout = self.registry.clock(), standing.rollout
        match standing.progress.state:
            case State.PENDING:
                return Decision(Event.START, "the rollout begins")
            case State.WARMING:
                return self._on_warming(standing, now - rollout.entered_at)
            case State.GATING if rollout.gate is not None:
                verdict = await self.gatekeeper.verdict(standing)
                return on_gating(rollout.gate, verdict, elapsed=now - rollout.entered_at)
            case State.SHADOWING if rollout.shadow is not None:
                seen = await self._seen(standing)
                if seen is not None:
                    return on_shadowing(rollout.shadow, seen, elapsed=now - rollout.entered_at)
            case State.CANARY:
                seen = await self._seen(standing)
                measured = self.measuring.of(standing)
                elapsed = now - rollout.entered_at
                return on_canary(rollout, seen, elapsed=elapsed, measured=measured)
        return None

    async def _seen(self, standing: Standing) -> Seen | None:
        async with self.registry.database.read() as connection:
            return await seen_of(connection, standing)

    def _on_warming(self, standing: Standing, elapsed: float) -> Decision | None:
        if standing.adapter is None:
            return on_warming([], None, elapsed=elapsed, patience=self.mover.warm_timeout_seconds)
        waiting, failed = list[str](), None
        try:
            waiting = unproven(self.registry.keeper.current, standing.adapter)
        except AdapterFailed as error:
            failed = error.message
        return on_warming(
            waiting, failed, elapsed=elapsed, patience=self.mover.warm_timeout_seconds
        )
