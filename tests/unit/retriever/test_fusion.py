"""Two rankings to one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.fusion import Candidates, Ranked, Weights, rank


def ranked(
    nearest: dict[str, float],
    words: dict[str, float],
    *,
    others: dict[str, float] | None = None,
    weights: Weights | None = None,
    min_similarity: float | None = None,
    limit: int = 10,
) -> list[Ranked]:
    """Fuse; `others` are the similarities of what was found by words only."""
    candidates = Candidates(list(nearest.items()), {**nearest, **(others or {})}, words)
    return rank(
        candidates, weights or Weights(1.0, 1.0), min_similarity=min_similarity, limit=limit
    )


def names(found: list[Ranked]) -> list[str]:
    return [each.id for each in found]


def test_each_ranking_alone_keeps_its_order() -> None:
    assert names(ranked({"a": 0.9, "b": 0.8, "c": 0.7}, {})) == ["a", "b", "c"]
    words_only = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert names(ranked({}, {"c": 3.0, "b": 2.0, "a": 1.0}, others=words_only)) == ["c", "b", "a"]


def test_the_best_of_both_has_a_score_of_one_and_nothing_has_more() -> None:
    found = ranked({"a": 0.9, "b": 0.8}, {"a": 7.0, "b": 1.0})
    assert found[0] == Ranked("a", 1.0, 0.9)
    assert all(each.score <= 1 for each in found)


def test_how_far_apart_candidates_are_counts_and_not_only_their_rank() -> None:
    """`a` is far ahead by words and just behind by meaning."""
    nearest = {"b": 0.90, "a": 0.89, "z": 0.50}
    assert names(ranked(nearest, {"a": 9.0, "b": 2.0}))[0] == "a"
    nearest = {"b": 0.90, "a": 0.55, "z": 0.50}
    assert names(ranked(nearest, {"a": 9.0, "b": 8.0}))[0] == "b"


def test_weights_decide_which_ranking_wins() -> None:
    nearest, words = {"near": 0.9, "told": 0.1}, {"told": 5.0}
    assert names(ranked(nearest, words, weights=Weights(2.0, 1.0)))[0] == "near"
    assert names(ranked(nearest, words, weights=Weights(1.0, 2.0)))[0] == "told"


def test_what_is_not_similar_enough_takes_no_place() -> None:
    found = ranked({"a": 0.9, "b": 0.6}, {"c": 9.0}, others={"c": 0.2}, min_similarity=0.5, limit=2)
    assert names(found) == ["a", "b"]


def test_a_point_deleted_between_two_questions_is_left_out() -> None:
    assert names(ranked({"a": 0.9}, {"gone": 9.0})) == ["a"]


@pytest.mark.parametrize("weights", [Weights(0.0, 0.0), Weights(0.0, 1.0), Weights(1.0, 0.0)])
def test_a_weight_of_nothing_divides_by_nothing(weights: Weights) -> None:
    assert set(names(ranked({"a": 0.9, "b": 0.5}, {"b": 1.0}, weights=weights))) == {"a", "b"}


def test_a_single_candidate_is_the_best() -> None:
    assert ranked({"a": 0.3}, {}) == [Ranked("a", 1.0, 0.3)]
    assert ranked({}, {}) == []


def test_equal_scores_are_ordered_by_similarity_and_then_by_id() -> None:
    assert names(ranked({"b": 0.5, "a": 0.5, "c": 0.5000000001}, {})) == ["a", "b", "c"]


SIMILARITIES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(-1, 1))
WORDS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(0.001, 50))


@given(SIMILARITIES, WORDS, SIMILARITIES, st.integers(1, 5))
def test_the_order_follows_the_scores_and_the_limit_holds(
    nearest: dict[str, float], words: dict[str, float], others: dict[str, float], limit: int
) -> None:
    full = ranked(nearest, words, others=others, limit=1000)
    assert len({each.id for each in full}) == len(full)
    scores = [round(each.score, 5) for each in full]
    assert scores == sorted(scores, reverse=True)
    assert ranked(nearest, words, others=others, limit=limit) == full[:limit]
