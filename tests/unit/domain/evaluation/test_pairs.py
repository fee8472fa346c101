"""Two arms on the same cases: the exact test, the interval, the number of cases."""

from __future__ import annotations

import math
import random

import pytest

from services.domain.evaluation.pairs import (
    Pairs,
    cases_needed,
    difference_of,
    interval,
    mcnemar,
    pairs_of,
)


def test_pairs_are_counted_case_by_case() -> None:
    pairs = pairs_of([True, True, False, False, False], [True, False, True, True, False])
    assert pairs == Pairs(both=1, gained=2, lost=1, neither=1)
    assert pairs.difference == pytest.approx(0.2)
    with pytest.raises(ValueError, match="zip"):
        pairs_of([True], [])


@pytest.mark.parametrize(("gained", "lost"), [(15, 5), (0, 0), (1, 9), (30, 31), (0, 6), (900, 40)])
def test_the_exact_test_is_the_binomial_one_of_scipy(gained: int, lost: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(wanted, rel=1e-8)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


def test_very_many_pairs_neither_overflow_nor_vanish() -> None:
    assert mcnemar(50_000, 50_000) == 1.0
    assert mcnemar(3000, 10) < 1e-300


def test_the_interval_stays_wide_where_no_case_differs() -> None:
    # Without discordant pairs Tango's bounds are -+ z^2 / (n + z^2).
    square = 1.959963984540054**2
    low, high = interval(Pairs(40, 0, 0, 10))
    assert high == pytest.approx(square / (50 + square), abs=1e-6)
    assert low == pytest.approx(-high)
    assert interval(Pairs(0, 0, 0, 0)) == (-1.0, 1.0)


def test_the_bounds_are_where_the_constrained_likelihood_puts_them() -> None:
    """The statistic uses a closed form of the constrained estimate; here a search finds it."""
    optimize = pytest.importorskip("scipy.optimize")
    for pairs in (Pairs(40, 15, 5, 40), Pairs(20, 9, 2, 21), Pairs(3, 1, 0, 6)):
        for bound in interval(pairs):
            lost = optimize.minimize_scalar(
                lambda q, d=bound, p=pairs: -_likelihood(p, q, d),
                bounds=(max(0.0, -bound) + 1e-12, (1 - bound) / 2 - 1e-12),
                method="bounded",
                options={"xatol": 1e-12},
            ).x
            n = pairs.count
            variance = n * (2 * lost + bound - bound * bound)
            statistic = (pairs.gained - pairs.lost - n * bound) / math.sqrt(variance)
            assert abs(statistic) == pytest.approx(1.959964, abs=1e-3)


def _likelihood(pairs: Pairs, lost: float, difference: float) -> float:
    gained = lost + difference
    rest = 1 - gained - lost
    counted = ((pairs.gained, gained), (pairs.lost, lost), (pairs.both + pairs.neither, rest))
    return sum(count * math.log(max(share, 1e-300)) for count, share in counted if count)


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    chance, held = random.Random(5), 0
    for _ in range(500):
        draws = [chance.random() for _ in range(80)]
        gained, lost = sum(d < 0.2 for d in draws), sum(d > 0.95 for d in draws)
        low, high = interval(Pairs(80 - gained - lost, gained, lost, 0))
        held += low <= 0.15 <= high
    assert 462 <= held <= 490


def test_a_difference_brings_everything_that_is_shown() -> None:
    found = difference_of(Pairs(40, 15, 5, 40))
    assert found.value == pytest.approx(0.1)
    assert found.low < found.value < found.high
    assert found.p == pytest.approx(0.0414, abs=1e-4)


def test_as_many_cases_as_advised_show_the_difference_about_as_often_as_promised() -> None:
    # Miettinen's approximation is for the large-sample test; the exact one is a little weaker.
    advised = cases_needed(0.25, 0.15)
    chance, shown = random.Random(11), 0
    for _ in range(1000):
        draws = [chance.random() for _ in range(advised)]
        shown += mcnemar(sum(d < 0.2 for d in draws), sum(d > 0.95 for d in draws)) < 0.05
    assert 700 <= shown <= 860


def test_a_difference_larger_than_what_differs_has_no_number_of_cases() -> None:
    assert cases_needed(0.2, 0.1) == cases_needed(0.2, -0.1)
    assert cases_needed(0.2, 0.05) > cases_needed(0.2, 0.1)
    for discordant, difference in ((0.1, 0.2), (0.1, 0.0)):
        with pytest.raises(ValueError, match="above 0"):
            cases_needed(discordant, difference)
