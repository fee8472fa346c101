"""Costs: the published worked example, the fair figure beside it, one's own machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.contracts.costs import CostOption, CostScenario, Hardware, TokenPrice
from services.domain.costs import (
    HOURS_A_MONTH,
    bill_of,
    months_to_pay_back,
    training_cost,
    volume_to_break_even,
)

PUBLISHED = Path(__file__).parents[3] / "examples/costs/published.json"


@pytest.fixture
def scenario() -> CostScenario:
    return CostScenario.model_validate_json(PUBLISHED.read_bytes())


def test_the_published_example_comes_out_and_so_does_the_fair_figure(
    scenario: CostScenario,
) -> None:
    """Hosted $2,700; fine-tuned $120 without the answers' tokens and $360 with them; $20 once."""
    assert scenario.requests_per_month == 100_000
    hosted, published, fair, _ = (
        bill_of(option, scenario.requests_per_month) for option in scenario.options
    )
    assert hosted.monthly == pytest.approx(2_700)
    assert published.monthly == pytest.approx(120)
    assert fair.monthly == pytest.approx(360)
    assert training_cost(scenario.options[1].training) == pytest.approx(20)
    assert months_to_pay_back(hosted, fair) == pytest.approx(20 / 2_340)
    assert months_to_pay_back(fair, hosted) is None


def test_cached_tokens_cost_their_own_price() -> None:
    price = TokenPrice(prompt=10, cached=1, completion=0)
    option = CostOption(
        name="a", prompt_tokens=1000, cached_tokens=900, completion_tokens=5, price=price
    )
    assert bill_of(option, 1_000).monthly == pytest.approx(1.9)


def machines(tokens_per_second: float = 100.0) -> CostOption:
    hardware = Hardware(usd_per_hour=1, tokens_per_second=tokens_per_second, utilisation=1)
    return CostOption(name="own", prompt_tokens=90, completion_tokens=10, hardware=hardware)


def test_machines_are_paid_for_whether_or_not_they_are_busy() -> None:
    assert bill_of(machines(), 1).monthly == HOURS_A_MONTH
    full = int(HOURS_A_MONTH * 3600)
    assert bill_of(machines(), full).machines == 1
    assert bill_of(machines(), full + 1).machines == 2


def test_the_break_even_volume_is_the_first_at_which_machines_are_cheaper() -> None:
    hosted = CostOption(
        name="hosted",
        prompt_tokens=90,
        completion_tokens=10,
        price=TokenPrice(prompt=10, completion=10),
    )
    for own in (machines(), machines(0.1)):
        volume = volume_to_break_even(hosted, own)
        assert (volume is None) == (own == machines(0.1))
        if volume is not None:
            assert bill_of(own, volume).monthly < bill_of(hosted, volume).monthly
            assert bill_of(own, volume - 1).monthly >= bill_of(hosted, volume - 1).monthly
    assert volume_to_break_even(hosted, hosted) is None
    free = hosted.model_copy(update={"price": TokenPrice(prompt=0, completion=0)})
    assert volume_to_break_even(free, machines()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "price": TokenPrice(prompt=1, completion=1),
            "hardware": Hardware(usd_per_hour=1, tokens_per_second=1),
        },
        {"price": TokenPrice(prompt=1, completion=1), "cached_tokens": 11},
    ],
)
def test_an_option_is_paid_for_in_exactly_one_way(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CostOption.model_validate(
            {"name": "a", "prompt_tokens": 10, "completion_tokens": 1, **fields}
        )
