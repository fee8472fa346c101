"""What an answer costs."""

from __future__ import annotations

import pytest

from services.domain.pricing import Prices


def test_own_hardware_costs_nothing() -> None:
    assert Prices().cost(prompt=1000, cached=0, completion=1000) == 0


def test_cached_tokens_are_part_of_the_prompt_and_have_their_own_price() -> None:
    prices = Prices(prompt=2.0, cached=0.5, completion=8.0)
    assert prices.cost(prompt=1_000_000, cached=0, completion=0) == pytest.approx(2.0)
    assert prices.cost(prompt=1_000_000, cached=1_000_000, completion=0) == pytest.approx(0.5)
    assert prices.cost(prompt=1_000, cached=400, completion=100) == pytest.approx(
        (600 * 2.0 + 400 * 0.5 + 100 * 8.0) / 1_000_000
    )
