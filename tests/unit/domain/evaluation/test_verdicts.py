"""The three verdicts."""

from __future__ import annotations

import random

import pytest

from services.contracts.evaluations import EvaluationRules
from services.domain.evaluation.pairs import Pairs, pairs_of
from services.domain.evaluation.verdicts import majority, rule

NO_GUARDS = Pairs(0, 0, 0, 0)
STEADY_GUARDS = Pairs(100, 0, 0, 0)


def test_a_candidate_that_passes_more_cases_than_chance_explains_is_adopted() -> None:
    ruling = rule(Pairs(40, 25, 5, 30), STEADY_GUARDS)
    assert ruling.verdict == "adopt"
    assert "25 cases gained and 5 lost of 100" in ruling.reason


def test_a_candidate_that_is_worse_is_rejected() -> None:
    ruling = rule(Pairs(40, 5, 25, 30), NO_GUARDS)
    assert (ruling.verdict, ruling.more_cases) == ("reject", 0)
    assert "worse" in ruling.reason


def test_a_change_that_changes_nothing_is_rejected_once_that_is_certain() -> None:
    assert rule(Pairs(300, 1, 1, 300), NO_GUARDS).verdict == "reject"
    assert "no improvement" in rule(Pairs(300, 1, 1, 300), NO_GUARDS).reason
    assert rule(Pairs(15, 1, 1, 15), NO_GUARDS).verdict == "insufficient"


def test_too_few_cases_are_insufficient_and_the_advice_is_about_enough() -> None:
    ruling = rule(Pairs(30, 8, 3, 9), NO_GUARDS)
    assert ruling.verdict == "insufficient"
    share = (50 + ruling.more_cases) / 50
    assert f"about {ruling.more_cases} more cases" in ruling.reason
    grown = Pairs(*(round(count * share) for count in (30, 8, 3, 9)))
    assert rule(grown, NO_GUARDS).verdict == "adopt"


def test_a_handful_of_cases_adopts_nothing_however_clear_it_looks() -> None:
    ruling = rule(Pairs(0, 10, 0, 0), NO_GUARDS)
    assert (ruling.verdict, ruling.more_cases) == ("insufficient", 10)


def test_a_better_candidate_that_breaks_a_guard_is_rejected() -> None:
    ruling = rule(Pairs(40, 25, 5, 30), Pairs(60, 0, 20, 20))
    assert ruling.verdict == "reject"
    assert "guard" in ruling.reason


def test_a_better_candidate_whose_guards_are_too_few_needs_more_of_them() -> None:
    ruling = rule(Pairs(40, 25, 5, 30), Pairs(20, 0, 0, 0))
    assert ruling.verdict == "insufficient"
    assert "more guard cases" in ruling.reason
    assert rule(Pairs(40, 25, 5, 30), Pairs(20 + ruling.more_cases, 0, 0, 0)).verdict == "adopt"


def test_with_a_margin_it_is_enough_not_to_be_worse() -> None:
    rules = EvaluationRules(margin=0.05)
    assert rule(Pairs(150, 2, 2, 46), NO_GUARDS, rules).verdict == "adopt"
    assert rule(Pairs(10, 0, 0, 10), NO_GUARDS, rules).verdict == "insufficient"
    assert rule(Pairs(40, 2, 30, 28), NO_GUARDS, rules).verdict == "reject"


def test_what_no_number_of_cases_can_show_is_not_promised() -> None:
    ruling = rule(Pairs(30, 3, 6, 30), NO_GUARDS, EvaluationRules(margin=0.02))
    assert (ruling.verdict, ruling.more_cases) == ("insufficient", 0)
    assert "hardly" in ruling.reason


@pytest.mark.parametrize("cases", [30, 100, 400])
def test_arms_that_are_alike_are_seldom_told_apart(cases: int) -> None:
    """At most 2.5 % of comparisons of an arm with itself may adopt; four deviations are allowed."""
    chance, runs = random.Random(cases), 2000
    adopted = rejected_as_worse = 0
    for _ in range(runs):
        first = [chance.random() < 0.7 for _ in range(cases)]
        other = [kept if chance.random() < 0.6 else chance.random() < 0.7 for kept in first]
        ruling = rule(pairs_of(first, other), NO_GUARDS)
        adopted += ruling.verdict == "adopt"
        rejected_as_worse += ruling.verdict == "reject" and "worse" in ruling.reason
    most = runs * 0.025 + 4 * (runs * 0.025 * 0.975) ** 0.5
    assert adopted <= most
    assert rejected_as_worse <= most


def test_most_repeats_decide_and_a_tie_is_not_passed() -> None:
    assert majority([True])
    assert majority([True, False, True])
    assert not majority([True, False])
