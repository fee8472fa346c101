"""Moving a rollout: the move itself, and what replicas have to keep loaded because of it."""

from __future__ import annotations

from dataclasses import dataclass

from services.contracts.rollouts import Rollout
from services.domain.rollouts.states import Event
from services.gateway.registry import adapters, rollouts
from services.gateway.registry.changes import Change
from services.gateway.registry.rollouts import Standing


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves rollouts, for the controller and for operators alike."""

    warm_timeout_seconds: float
    """How long a candidate's adapter may take to be proven."""
    keep_warm_seconds: float
    """How long the adapter that was replaced is kept for a rollback."""

    async def move(
        self, change: Change, standing: Standing, event: Event, *, reason: str | None
    ) -> Rollout:
        """Let an event move a rollout that was read in this change.

        Raises:
            ServiceError: it cannot move so; nothing is changed.
        """
        moved = await rollouts.move(change, standing, event, reason=reason)
        if moved.state == "warming":
            await self._keep(change, standing.adapter, self.warm_timeout_seconds)
        elif moved.state == "gating" and moved.gate is not None:
            await self._keep(change, standing.adapter, moved.gate.max_duration_seconds)
        elif moved.state == "shadowing" and moved.shadow is not None:
            await self._keep(change, standing.adapter, moved.shadow.max_duration_seconds)
        elif moved.state == "promoted":
            former = await rollouts.adapter_of(change.connection, standing.tenant, moved.stable)
            await self._keep(change, former, self.keep_warm_seconds)
        return moved

    async def _keep(self, change: Change, adapter: str | None, seconds: float) -> None:
        if adapter is not None:
            await adapters.want(change, adapter, seconds=seconds)
