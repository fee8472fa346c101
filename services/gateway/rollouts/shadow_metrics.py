"""What the gateway counts of copies that candidates answer unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.gateway.accounts import Account

DropReason = Literal[
    "queue_full", "budget", "rollout_over", "too_old", "no_replica", "callers", "engine_away"
]
"""Why a copy was not answered; `callers` needed the engine while it was."""


class ShadowMetrics:
    """The series of shadow traffic, apart from those of callers.

    Args:
        waiting: counts the copies that wait.
    """

    def __init__(self, registry: CollectorRegistry, waiting: Callable[[], float]) -> None:
        self._answers = Counter(
            "inkstone_shadow_answers_total",
            "Copies of requests that candidates answered unseen.",
            ["status"],
            registry=registry,
        )
        self._dropped = Counter(
            "inkstone_shadow_dropped_total",
            "Copies that were dropped unanswered, first of all work.",
            ["reason"],
            registry=registry,
        )
        for reason in get_args(DropReason):
            self._dropped.labels(reason)
        self._tokens = Counter(
            "inkstone_shadow_tokens_total",
            "Tokens of unseen answers.",
            ["direction"],
            registry=registry,
        )
        for direction in ("prompt", "completion"):
            self._tokens.labels(direction)
        self._cost = Counter(
            "inkstone_shadow_cost_usd_total", "Cost of unseen answers.", registry=registry
        )
        queue = Gauge("inkstone_shadow_queue", "Copies that wait for an engine.", registry=registry)
        queue.set_function(waiting)

    def dropped(self, reason: DropReason) -> None:
        """Count a copy that was not answered."""
        self._dropped.labels(reason).inc()

    def answered(self, account: Account) -> None:
        """Count a copy that was answered, or that the candidate failed."""
        used = account.usage.all
        self._answers.labels(str(account.status)).inc()
        self._tokens.labels("prompt").inc(used.prompt)
        self._tokens.labels("completion").inc(used.completion)
        self._cost.inc(account.cost_usd)
