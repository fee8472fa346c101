"""An hour's budget holds for every hour, wherever it begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.rollouts.budget import HourlyBudget

HOUR = 3600.0
LARGEST = 500


def test_what_was_spent_is_free_again_after_an_hour() -> None:
    budget = HourlyBudget(100)
    budget.spend(70, 0)
    budget.spend(50, 1)
    assert budget.left(30) == -20
    budget.spend(5, 600)
    assert budget.left(HOUR + 61) == 95


@given(st.lists(st.tuples(st.floats(0, 2000), st.integers(0, LARGEST)), max_size=60))
def test_no_hour_spends_more_than_the_budget_and_what_was_under_way(
    steps: list[tuple[float, int]],
) -> None:
    budget, now = HourlyBudget(1000), 0.0
    spent: list[tuple[float, int]] = []
    for pause, tokens in steps:
        now += pause
        if budget.left(now) > 0:
            budget.spend(tokens, now)
            spent.append((now, tokens))
    for at, _ in spent:
        within = sum(tokens for when, tokens in spent if at - HOUR < when <= at)
        assert within <= 1000 + LARGEST
