"""Choosing passages that differ."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.diversity import diverse


def direction(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


RELEVANCES = [0.9, 0.89, 0.88, 0.5, 0.4]
VECTORS = [direction(degrees) for degrees in (0, 1, 2, 45, 90)]


@pytest.mark.parametrize(
    ("diversity", "expected"), [(0.0, [0, 1, 2]), (0.5, [0, 4, 1]), (1.0, [0, 4, 3])]
)
def test_more_diversity_takes_more_that_is_unlike(diversity: float, expected: list[int]) -> None:
    assert diverse(RELEVANCES, VECTORS, diversity=diversity, limit=3) == expected


def test_a_little_diversity_leaves_out_a_copy() -> None:
    copies = [direction(10), direction(10), direction(80)]
    assert diverse([0.9, 0.9, 0.7], copies, diversity=0.6, limit=2) == [0, 2]


def test_one_or_none_needs_no_choice() -> None:
    assert diverse([], [], diversity=0.5, limit=3) == []
    assert diverse([0.2], [direction(0)], diversity=0.5, limit=3) == [0]


def test_a_crowded_range_of_cosines_gives_the_same_choice_as_a_wide_one() -> None:
    wide = [direction(degrees) for degrees in (0, 5, 60)]
    crowd = [[*(0.3 * value for value in vector), math.sqrt(1 - 0.09)] for vector in wide]
    for diversity in (0.1, 0.4, 0.7):
        relevances = [1.0, 0.9, 0.5]
        of_wide = diverse(relevances, wide, diversity=diversity, limit=3)
        assert diverse(relevances, crowd, diversity=diversity, limit=3) == of_wide


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 360)), min_size=1, max_size=12),
    st.floats(0, 1),
    st.integers(1, 15),
)
def test_each_candidate_is_taken_at_most_once_and_the_best_first(
    candidates: list[tuple[float, float]], diversity: float, limit: int
) -> None:
    ranked = sorted(candidates, reverse=True)
    relevances = [relevance for relevance, _ in ranked]
    vectors = [direction(degrees) for _, degrees in ranked]
    taken = diverse(relevances, vectors, diversity=diversity, limit=limit)
    assert len(taken) == len(set(taken)) == min(limit, len(ranked))
    assert taken[0] == 0
    if diversity == 0:
        assert [relevances[at] for at in taken] == relevances[: len(taken)]
