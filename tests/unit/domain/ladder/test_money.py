"""What rungs cost, and the figures around it."""

from __future__ import annotations

import pytest

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import LadderPrices, RungTraining
from services.domain.ladder.figures import Climbed, Terms, measured, quantile
from services.domain.ladder.money import break_even, training_usd, usd_per_100k
from services.domain.ladder.rungs import Rung, rungs_of

OWN = LadderPrices.model_validate({"own": {"usd_per_hour": 3.6, "utilisation": 0.5}})


def answer(number: int = 0, **fields: object) -> AnswerResult:
    given = {"case": f"c{number}", "passed": True, "milliseconds": 500.0, **fields}
    return AnswerResult.model_validate(given)


def rung(name: str) -> Rung:
    (found,) = rungs_of(name)
    return found


def test_a_machine_is_paid_for_the_time_that_it_is_busy() -> None:
    # Half a second at two at a time is a quarter of a second of machine: $0.00025, twice for peaks.
    assert usd_per_100k(Rung(), [answer()], OWN, 2) == pytest.approx(50.0)


def test_a_hosted_model_is_paid_by_its_tokens_and_cached_ones_cost_less() -> None:
    prices = LadderPrices.model_validate(
        {"hosted": {"m": {"prompt": 10.0, "completion": 30.0, "cached": 1.0}}}
    )
    answers = [answer(prompt_tokens=100, cached_tokens=40, completion_tokens=10)]
    hosted = Rung().on("m")
    assert usd_per_100k(hosted, answers, prices, 1) == pytest.approx(94.0)
    assert usd_per_100k(Rung().on("other"), answers, prices, 1) is None


def test_without_prices_the_gateways_own_count_where_it_has_any() -> None:
    assert usd_per_100k(Rung(), [answer(cost_usd=0.002)], LadderPrices(), 1) == pytest.approx(200)
    assert usd_per_100k(Rung(), [answer()], LadderPrices(), 1) is None
    assert usd_per_100k(Rung(), [answer(error="x: y")], OWN, 1) is None


def test_a_training_is_priced_by_the_hour_of_its_machine() -> None:
    assert training_usd(1000, OWN) == pytest.approx(1.0)
    dearer = OWN.model_copy(update={"training_usd_per_hour": 36.0})
    assert training_usd(1000, dearer) == pytest.approx(10.0)
    assert training_usd(1000, LadderPrices()) is None


def test_the_first_volume_that_pays_is_found() -> None:
    assert break_even(10.0, 0.0, 5.0, 1.0) == 20_001
    assert break_even(10.0, 5.0, 5.0, 1.0) == 1
    assert break_even(5.0, 0.0, 5.0, 0.0) is None
    assert break_even(5.0, 0.0, 10.0, 0.0) is None


def test_a_quantile_lies_between_values() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([1.0, 3.0], 0.5) == 2.0
    assert quantile([float(n) for n in range(101)], 0.95) == 95.0


def test_every_rung_is_set_beside_the_one_below_the_first_and_the_advised_one() -> None:
    checks = [{"kind": "contains", "any_of": ["x"]}]
    cases = [
        EvaluationCase.model_validate({"id": f"c{n}", "question": "?", "checks": checks})
        for n in range(40)
    ]
    training = RungTraining(
        job="j", adapter="a@0", rows=100, trained_tokens=1, seconds=1.0, usd=7.0
    )

    def climbed(name: str, passed: int, slow: float) -> Climbed:
        answers = [answer(n, passed=n < passed, milliseconds=slow) for n in range(40)]
        found = rung(name)
        return Climbed(found, answers, training if found.rows else None)

    rungs = [climbed("zero-shot", 10, 500), climbed("cot", 12, 900), climbed("lora-100", 38, 400)]
    figures, advice = measured(cases, rungs, Terms(OWN, 1, 0.85, retrieves=False))
    assert advice.rung == "lora-100"
    first, cot, lora = figures
    assert (first.below, first.first) == (None, None)
    assert cot.below is not None
    assert (cot.below.rung, cot.below.pairs.gained, cot.first) == ("zero-shot", 2, None)
    assert lora.below is not None
    assert lora.first is not None
    assert (lora.below.rung, lora.first.rung, lora.first.pairs.gained) == ("cot", "zero-shot", 28)
    assert first.advised is not None
    assert (first.advised.rung, first.advised.pairs.gained) == ("lora-100", 28)
    assert lora.advised is None
    assert (lora.p50_ms, lora.p95_ms) == (400, 400)
    # The adapter is the cheapest rung that is good enough, so that nothing else pays off beside it.
    assert [one.break_even_requests for one in figures] == [None, None, None]
