"""Means and how sure they are."""

from __future__ import annotations

import random
import statistics

import pytest

from services.domain.statistics import compare, estimate, proportion


def test_an_interval_holds_its_mean_and_shrinks_with_more_values() -> None:
    few, many = estimate([0.0, 1.0] * 10), estimate([0.0, 1.0] * 200)
    assert few.mean == many.mean == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(200):
        found = estimate([chance.random() for _ in range(40)], resamples=400)
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199


def test_the_bounds_are_those_that_scipy_finds() -> None:
    stats = pytest.importorskip("scipy.stats")
    chance = random.Random(3)
    first = [round(chance.random(), 1) for _ in range(60)]
    other = [min(value + chance.choice([0.0, 0.0, 0.2]), 1.0) for value in first]
    gains = [theirs - ours for ours, theirs in zip(first, other, strict=True)]
    for ours, values in ((estimate(first), first), (compare(first, other).difference, gains)):
        theirs = stats.bootstrap(
            (values,), statistics.fmean, vectorized=False, method="percentile", n_resamples=5000
        ).confidence_interval
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=width / 8)
        assert ours.high == pytest.approx(theirs.high, abs=width / 8)


def test_equal_values_give_equal_intervals() -> None:
    values = [0.1, 0.4, 0.9, 0.2]
    assert estimate(values) == estimate(values)


def test_values_that_never_differ_are_sure() -> None:
    sure = estimate([0.25] * 30)
    assert (sure.low, sure.mean, sure.high) == (0.25, 0.25, 0.25)


def test_pairs_show_a_small_steady_gain_that_two_intervals_would_hide() -> None:
    chance = random.Random(1)
    first = [chance.random() for _ in range(50)]
    other = [value + 0.02 for value in first]
    assert estimate(first).high > estimate(other).low
    compared = compare(first, other)
    assert compared.is_gain
    assert (compared.better, compared.worse) == (50, 0)
    assert compare(other, first).is_loss


def test_a_difference_by_chance_is_neither_gain_nor_loss() -> None:
    compared = compare([0.0, 1.0] * 20, [1.0, 0.0] * 20)
    assert not compared.is_gain
    assert not compared.is_loss
    assert (compared.better, compared.worse) == (20, 20)


def test_nothing_has_no_mean_and_unequal_lists_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])
    with pytest.raises(ValueError, match="zip"):
        compare([1.0], [1.0, 0.0])


def test_a_share_has_the_interval_of_wilson() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, trials in ((0, 10), (10, 10), (7, 10), (250, 1000)):
        theirs = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        ours = proportion(hits, trials)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    with pytest.raises(ValueError, match="no trials"):
        proportion(0, 0)
