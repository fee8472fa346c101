"""The gate: what evaluates a candidate before anybody meets it."""

from __future__ import annotations

from typing import Protocol

from services.contracts.rollouts import Gate
from services.gateway.registry.changes import Change
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Decision


class Gatekeeper(Protocol):
    """Evaluates candidates beside the requests of callers."""

    async def check(self, change: Change, gate: Gate) -> None:
        """Check, before a rollout begins, that its gate can be held.

        Raises:
            ServiceError: it cannot, such as for want of the cases; nothing is changed.
        """
        ...

    async def verdict(self, standing: Standing) -> Decision | None:
        """Say what the evaluation of a rollout in state `gating` has come to.

        Asked at every look of the controller, so that it begins or continues the evaluation and
        returns at once. The event is ADOPT, REJECT or INCONCLUDE; None while the evaluation runs. A
        rollout that was resumed is evaluated anew: it bears a later `entered_at`.
        """
        ...
