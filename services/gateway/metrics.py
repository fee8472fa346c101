"""What the gateway counts of chat requests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.telemetry import SECONDS, LabelCap
from services.gateway.accounts import Account, Stage

NO_RELEASE = "-"
"""Stands for assistant and release of a direct call, and of a request that resolved to nothing."""

_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_PASSAGES = (0, 1, 2, 3, 5, 10, 20, 50)
_SHARES = tuple(tenths / 10 for tenths in range(11))


@dataclass(frozen=True, slots=True)
class _Series:
    """The series of one assistant, looked up once."""

    request_seconds: Histogram
    first_token_seconds: Histogram
    inter_token_seconds: Histogram
    prompt: Counter
    cached: Counter
    completion: Counter
    cost: Counter


class ChatMetrics:
    """The series of DESIGN's observability chapter that chat requests move.

    Args:
        max_labels: how many assistants, and how many releases, get a series of their own.
    """

    def __init__(self, registry: CollectorRegistry, *, max_labels: int) -> None:
        self._assistants, self._releases = LabelCap(max_labels), LabelCap(max_labels)
        self._series: dict[str, _Series] = {}
        self._requests = Counter(
            "inkstone_requests_total",
            "Answered requests; an error inside a stream counts by the status it stands for.",
            ["assistant", "release", "arm", "status"],
            registry=registry,
        )
        self._declare_by_assistant(registry)
        self._stages = Histogram(
            "inkstone_stage_seconds",
            "Time by stage of a request.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._passages = Histogram(
            "inkstone_retrieved_passages",
            "Passages found for a request that retrieves.",
            buckets=_PASSAGES,
            registry=registry,
        )

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"inkstone_{name}", says, labels, registry=registry)

        self._empty = counter("retrieval_empty_total", "Requests for which nothing was found.")
        self._ungrounded = counter(
            "ungrounded_total", "Requests answered without passages because retrieval failed."
        )
        self._follow_ups = counter(
            "follow_ups_total", "Questions searched for in other words than they were asked.", "way"
        )
        self._citations = counter("citations_total", "Cited passages.", "valid")
        self._abstentions = counter("abstentions_total", "Answers that say there is none.")
        self._rejected = counter("rejected_total", "Requests turned away at the door.", "reason")
        self._stage_series = {stage: self._stages.labels(stage) for stage in get_args(Stage)}
        self._valid, self._invalid = (self._citations.labels(v) for v in ("true", "false"))

    def _declare_by_assistant(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"inkstone_{name}", says, ["assistant"], buckets=buckets, registry=registry
            )

        self._request_seconds = histogram("request_seconds", "Time of a whole request.", SECONDS)
        self._first_token_seconds = histogram(
            "time_to_first_token_seconds", "Time to the first token of a stream.", SECONDS
        )
        self._inter_token_seconds = histogram(
            "inter_token_seconds", "Time between two tokens of a stream.", _TOKEN_SECONDS
        )
        self._tokens = Counter(
            "inkstone_tokens_total",
            "Tokens; cached ones are part of the prompt's.",
            ["assistant", "direction"],
            registry=registry,
        )
        self._support = histogram(
            "answer_support",
            "Share of the words of sentences with citations that stands in what they cite.",
            _SHARES,
        )
        self._cost = Counter(
            "inkstone_cost_usd_total", "Cost of answers.", ["assistant"], registry=registry
        )

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away before it was looked at."""
        self._rejected.labels(reason).inc()

    def inter_token(self, account: Account, seconds: float) -> None:
        """Count the time between two tokens."""
        self._of(account).inter_token_seconds.observe(seconds)

    def settled(self, account: Account) -> None:
        """Count a request that is over."""
        release = account.target.release if account.target else None
        self._requests.labels(
            self._assistant(account),
            self._releases(release.id) if release else NO_RELEASE,
            account.target.arm if account.target else "stable",
            str(account.status),
        ).inc()
        series, used = self._of(account), account.usage.all
        series.request_seconds.observe(account.total)
        series.prompt.inc(used.prompt)
        series.cached.inc(used.cached)
        series.completion.inc(used.completion)
        series.cost.inc(account.cost_usd)
        for stage, seconds in account.stages.items():
            self._stage_series[stage].observe(seconds)
        if account.streamed and "first_token" in account.stages:
            series.first_token_seconds.observe(account.first_token_after)
        self._settle_retrieval(account)
        if account.outcome == "abstained":
            self._abstentions.inc()

    def _settle_retrieval(self, account: Account) -> None:
        match account.grounding.state:
            case "found" | "empty" as state:
                self._passages.observe(len(account.grounding.passages))
                if state == "empty":
                    self._empty.inc()
            case "failed":
                self._ungrounded.inc()
        if account.follow_up is not None:
            self._follow_ups.labels(account.follow_up).inc()
        if account.support is not None:
            self._support.labels(self._assistant(account)).observe(account.support)
        if account.cited:
            self._valid.inc(account.cited)
        if account.invalid_citations:
            self._invalid.inc(account.invalid_citations)

    def _of(self, account: Account) -> _Series:
        name = self._assistant(account)
        if name not in self._series:
            self._series[name] = _Series(
                request_seconds=self._request_seconds.labels(name),
                first_token_seconds=self._first_token_seconds.labels(name),
                inter_token_seconds=self._inter_token_seconds.labels(name),
                prompt=self._tokens.labels(name, "prompt"),
                cached=self._tokens.labels(name, "cached"),
                completion=self._tokens.labels(name, "completion"),
                cost=self._cost.labels(name),
            )
        return self._series[name]

    def _assistant(self, account: Account) -> str:
        name = account.target.assistant if account.target else None
        return self._assistants(name) if name else NO_RELEASE


def expose_gauges(
    registry: CollectorRegistry,
    *,
    in_flight: Callable[[], float],
    ledger_lag: Callable[[], float],
    daily_budget_usd: float | None,
) -> None:
    """Show how many requests run, how far the ledger is behind them, and the budget."""
    gauge = Gauge("inkstone_inflight", "Requests in flight.", registry=registry)
    gauge.set_function(in_flight)
    lag = Gauge(
        "inkstone_ledger_lag_seconds", "Age of the oldest unwritten row.", registry=registry
    )
    lag.set_function(ledger_lag)
    budget = Gauge(
        "inkstone_daily_budget_usd",
        "What all answers of 24 hours should cost at the most; NaN without a budget.",
        registry=registry,
    )
    budget.set(math.nan if daily_budget_usd is None else daily_budget_usd)
