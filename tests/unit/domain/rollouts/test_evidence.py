"""Two arms are compared at every moment without crying wolf more often than stated."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.rollouts.evidence import Check, Rate, bounds, findings

RUNS = 400
LOOKS = 40
FALSE_ALARMS = 0.2
ERRORS = Check("errors", 0.0)


def looks(chance: random.Random, stable: float, candidate: float) -> int | None:
    """Watch two arms answer; tell at which look the candidate was found worse."""
    here, there = Rate(0, 0), Rate(0, 0)
    for look in range(LOOKS):
        here = drawn(chance, here, stable, 18)
        there = drawn(chance, there, candidate, 2)
        (finding,) = findings(
            [ERRORS], {"errors": here}, {"errors": there}, false_alarms=FALSE_ALARMS
        )
        if finding.worse:
            return look
    return None


def drawn(chance: random.Random, rate: Rate, probability: float, trials: int) -> Rate:
    events = sum(chance.random() < probability for _ in range(trials))
    return Rate(rate.events + events, rate.trials + trials)


def test_equal_arms_are_told_apart_no_more_often_than_stated() -> None:
    chance = random.Random(7)
    alarms = sum(looks(chance, 0.1, 0.1) is not None for _ in range(RUNS))
    assert alarms / RUNS <= FALSE_ALARMS


def test_one_bounds_true_rate_is_left_no_more_often_than_stated() -> None:
    """The bound of one arm alone is tight enough to be left now and then."""
    chance, left = random.Random(11), 0
    for _ in range(RUNS):
        rate = Rate(0, 0)
        for _ in range(LOOKS):
            rate = drawn(chance, rate, 0.3, 5)
            low, high = bounds(rate, FALSE_ALARMS)
            if not low <= 0.3 <= high:
                left += 1
                break
    assert 0 < left / RUNS <= FALSE_ALARMS


def test_a_candidate_that_always_fails_is_found_out_within_twenty_answers() -> None:
    chance = random.Random(3)
    found = [looks(chance, 0.01, 1.0) for _ in range(20)]
    assert all(look is not None and look < 10 for look in found)


def test_a_difference_within_the_margin_is_put_up_with() -> None:
    stable, candidate = {"errors": Rate(0, 5000)}, {"errors": Rate(400, 5000)}
    for margin, worse in ((0.2, False), (0.0, True)):
        (finding,) = findings(
            [Check("errors", margin)], stable, candidate, false_alarms=FALSE_ALARMS
        )
        assert finding.worse is worse


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.5))
def test_bounds_hold_the_observed_rate_and_narrow_with_confidence(
    events: int, others: int, alpha: float
) -> None:
    rate = Rate(events, events + others)
    low, high = bounds(rate, alpha)
    assert 0 <= low <= high <= 1
    if rate.trials:
        assert low <= rate.share <= high
    lower, higher = bounds(rate, alpha / 2)
    assert lower <= low
    assert high <= higher


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_a_confidence_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        bounds(Rate(1, 2), alpha)
