"""Measures of a ranking."""

from __future__ import annotations

import itertools
import random

import pytest

from services.domain.relevance import discrimination, ndcg, recall, reciprocal_rank


def test_recall_counts_the_right_ones_within_the_depth() -> None:
    assert recall(["a", "x", "b", "c"], {"a", "b", "c", "d"}, 3) == 0.5
    assert recall([], {"a"}, 3) == 0


def test_the_first_right_one_makes_the_reciprocal_rank() -> None:
    assert reciprocal_rank(["x", "y", "a", "b"], {"a", "b"}) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], {"a"}) == 0


def test_ndcg_by_hand() -> None:
    gained = 1 / 1 + 1 / 2  # places 1 and 3: log2(2) and log2(4)
    best = 1 / 1 + 0.6309297535714575  # places 1 and 2: log2(3) is 1.585
    assert ndcg(["a", "x", "b"], {"a", "b"}, 10) == pytest.approx(gained / best)


def test_a_perfect_ranking_has_one_even_when_more_are_right_than_fit() -> None:
    assert ndcg(["a", "b"], {"a", "b", "c", "d"}, 2) == 1
    assert ndcg(["b", "a"], {"a", "b", "c", "d"}, 2) == 1


def test_an_earlier_place_is_never_worth_less() -> None:
    worths = [ndcg([*"x" * place, "a"], {"a"}, 10) for place in range(12)]
    assert worths == sorted(worths, reverse=True)
    assert worths[9] > worths[10] == 0


def test_discrimination_is_the_share_of_pairs_in_the_right_order() -> None:
    chance = random.Random(3)
    right = [chance.randrange(6) + 1.0 for _ in range(30)]
    wrong = [float(chance.randrange(6)) for _ in range(20)]
    pairs = itertools.product(right, wrong)
    by_hand = sum((r > w) + (r == w) / 2 for r, w in pairs) / (30 * 20)
    assert discrimination(right, wrong) == pytest.approx(by_hand)
    assert discrimination([2.0, 3.0], [0.0, 1.0]) == 1
    assert discrimination([1.0], [1.0]) == 0.5


def test_one_kind_alone_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="nothing to tell apart"):
        discrimination([], [1.0])
