"""What `/metrics` shows of rollouts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.chassis.telemetry import LabelCap
from services.domain.rollouts.states import Event
from services.gateway.registry.snapshot import Snapshot


class RolloutMetrics:
    """The series of rollouts: where each stands, as every gateway sees it, and what was moved here.

    Args:
        max_labels: how many assistants get series of their own.
    """

    def __init__(
        self, registry: CollectorRegistry, snapshot: Callable[[], Snapshot], *, max_labels: int
    ) -> None:
        self._snapshot = snapshot
        self._assistants = LabelCap(max_labels)
        self._state = Gauge(
            "inkstone_rollout_state",
            "1 for the state in which an assistant's rollout stands; none when it is over.",
            ["assistant", "state"],
            registry=registry,
        )
        self._weight = Gauge(
            "inkstone_rollout_weight",
            "Percent of an assistant's callers that the candidate answers.",
            ["assistant"],
            registry=registry,
        )
        self._entered_at = Gauge(
            "inkstone_rollout_entered_timestamp_seconds",
            "When an assistant's rollout came to its state and step.",
            ["assistant"],
            registry=registry,
        )
        self._moves = Counter(
            "inkstone_rollout_moves_total",
            "Moves of rollouts that this gateway made, for the controller or for an operator.",
            ["event"],
            registry=registry,
        )
        # A counter that begins at 1 hides its first move from `increase()`.
        for event in Event:
            self._moves.labels(event.value)

    def moved(self, event: Event) -> None:
        """Count a move."""
        self._moves.labels(event.value).inc()

    async def show(self) -> None:
        """Show the rollouts under way as the snapshot has them."""
        for gauge in (self._state, self._weight, self._entered_at):
            gauge.clear()
        for each in self._snapshot().rollouts:
            assistant = self._assistants(each.assistant)
            self._state.labels(assistant, each.state).set(1)
            self._weight.labels(assistant).set(each.weight)
            self._entered_at.labels(assistant).set(each.entered_at)
