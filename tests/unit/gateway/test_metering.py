"""The ledger's queue and an account's sums: nothing is lost while the registry is away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from services.chassis.errors import Unavailable
from services.domain.pricing import Prices
from services.gateway.accounts import Account
from services.gateway.grounding import Grounding
from services.gateway.metering import BATCH_ROWS, LedgerQueue, Meter, dropped_counter
from services.gateway.metrics import ChatMetrics
from services.gateway.registry.ledger import LedgerRow
from services.gateway.resolution import Target
from tests.fakes.retriever import passage
from tests.unit.gateway.registry_parts import caller, release

pytestmark = pytest.mark.anyio


class Registry:
    """Takes rows, or is away."""

    def __init__(self) -> None:
        self.batches: list[list[LedgerRow]] = []
        self.away = False

    async def append(self, rows: Sequence[LedgerRow]) -> None:
        if self.away:
            raise Unavailable("away")
        self.batches.append(list(rows))


def row(number: int = 1) -> LedgerRow:
    return LedgerRow(at=1.0, tenant="t", key_id="k", request_id=str(number), status=200)


def queue(registry: Registry, capacity: int = 10_000) -> tuple[LedgerQueue, CollectorRegistry]:
    metrics = CollectorRegistry()
    return LedgerQueue(registry.append, capacity, dropped_counter(metrics)), metrics


async def test_rows_are_written_in_batches_and_in_order() -> None:
    registry = Registry()
    rows, _ = queue(registry)
    for number in range(BATCH_ROWS + 3):
        rows.record(row(number))
    assert rows.lag_seconds > 0
    await rows.flush()
    assert [len(batch) for batch in registry.batches] == [BATCH_ROWS, 3]
    assert [r.request_id for b in registry.batches for r in b] == [
        str(n) for n in range(BATCH_ROWS + 3)
    ]
    assert rows.lag_seconds == 0


async def test_nothing_to_write_opens_no_transaction() -> None:
    registry = Registry()
    await queue(registry)[0].flush()
    assert registry.batches == []


async def test_rows_wait_for_a_registry_that_is_away() -> None:
    registry = Registry()
    registry.away = True
    rows, _ = queue(registry)
    rows.record(row())
    with pytest.raises(Unavailable):
        await rows.flush()
    registry.away = False
    await rows.flush()
    assert [len(batch) for batch in registry.batches] == [1]


async def test_rows_beyond_the_capacity_are_dropped_and_counted() -> None:
    registry = Registry()
    rows, metrics = queue(registry, capacity=2)
    for number in range(5):
        rows.record(row(number))
    await rows.flush()
    assert [r.request_id for r in registry.batches[0]] == ["0", "1"]
    assert metrics.get_sample_value("inkstone_ledger_dropped_total") == 3


def account(**fields: object) -> Account:
    made = Account(caller(), "req-1")
    made.target = Target("support", "formal@0123456789ab", release())
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def meter(metrics: CollectorRegistry, registry: Registry) -> Meter:
    rows = LedgerQueue(registry.append, 10, dropped_counter(metrics))
    prices = Prices(prompt=1.0, cached=0.5, completion=2.0)
    return Meter(prices, ChatMetrics(metrics, max_labels=2), rows)


async def test_settling_prices_counts_and_records() -> None:
    metrics, registry = CollectorRegistry(), Registry()
    meter_ = meter(metrics, registry)
    settled = account(streamed=True, outcome="answered", passages=1, cited=1, invalid_citations=2)
    settled.grounding = Grounding("found", (passage("x"), passage("y")), corpus_revision=9)
    settled.usage.read(
        {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 400},
        }
    )
    settled.started -= 1.0
    for stage in ("admit", "retrieve", "compose", "first_token", "generate", "cite"):
        settled.finish(stage)
    meter_.settle(settled)
    await meter_.ledger.flush()
    (written,) = registry.batches[0]
    assert written.cost_usd == pytest.approx(0.001)
    assert (written.prompt_tokens, written.cached_tokens) == (1000, 400)
    assert (written.passages, written.cited, written.invalid_citations) == (1, 1, 2)
    assert (written.corpus_revision, written.release, written.streamed) == (9, "support/1", True)
    assert written.total_ms >= written.admit_ms >= 1000

    def value(name: str, **labels: str) -> float | None:
        return metrics.get_sample_value(f"inkstone_{name}", labels)

    labels = {"assistant": "support", "release": "support/1", "arm": "stable", "status": "200"}
    assert value("requests_total", **labels) == 1
    assert value("tokens_total", assistant="support", direction="cached") == 400
    assert value("tokens_total", assistant="support", direction="completion") == 100
    assert value("cost_usd_total", assistant="support") == pytest.approx(0.001)
    assert value("retrieved_passages_sum") == 2
    assert value("citations_total", valid="true") == 1
    assert value("citations_total", valid="false") == 2
    assert value("time_to_first_token_seconds_count", assistant="support") == 1
    for stage in ("admit", "retrieve", "compose", "first_token", "generate", "cite"):
        assert value("stage_seconds_count", stage=stage) == 1


async def test_assistants_beyond_the_cap_share_a_series() -> None:
    metrics = CollectorRegistry()
    meter_ = meter(metrics, Registry())
    for name in ("a", "b", "c", "d"):
        target = Target(name, None, release(assistant=name, id=f"{name}/1"))
        meter_.settle(account(target=target))
    for name, count in (("a", 1), ("b", 1), ("other", 2), ("c", None)):
        labels = {"assistant": name}
        assert metrics.get_sample_value("inkstone_request_seconds_count", labels) == count


async def test_what_retrieval_gave_is_counted_by_its_state() -> None:
    metrics = CollectorRegistry()
    meter_ = meter(metrics, Registry())
    for state in ("off", "empty", "failed"):
        meter_.settle(account(grounding=Grounding(state), outcome="abstained"))
    assert metrics.get_sample_value("inkstone_retrieval_empty_total") == 1
    assert metrics.get_sample_value("inkstone_ungrounded_total") == 1
    assert metrics.get_sample_value("inkstone_retrieved_passages_count") == 1
    assert metrics.get_sample_value("inkstone_abstentions_total") == 3


async def test_a_client_that_left_is_charged_for_its_prompt() -> None:
    left = account(prompt_estimate=lambda: 70)
    left.leave()
    assert (left.row().status, left.row().disconnected) == (499, True)
    assert left.row().prompt_tokens == 70
    reported = account(prompt_estimate=lambda: 70)
    reported.usage.read({"prompt_tokens": 50, "completion_tokens": 4})
    reported.leave()
    assert (reported.row().prompt_tokens, reported.row().completion_tokens) == (50, 4)


@pytest.mark.parametrize(
    ("tokens", "choices", "streamed", "taken"),
    [(11, 1, 5, 100.0), (22, 2, 9, 100.0), (11, 1, 0, None), (1, 1, 1, None), (0, 1, 1, None)],
)
def test_the_time_between_tokens_is_that_of_one_stream(
    tokens: int, choices: int, streamed: int, taken: float | None
) -> None:
    account = Account(caller(), "r")
    account.token_wait, account.choices, account.streamed_tokens = 1.0, choices, streamed
    account.usage.completion = tokens
    assert account.row().inter_token_ms == taken
