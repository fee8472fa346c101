"""How probable an answer is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.answerability import Fit, answerability, evidence_of

FIT = Fit(constant=-5.0, similarity=4.0, margin=3.0, coverage=2.0)


def test_the_evidence_is_the_best_similarity_its_lead_and_the_words_that_are_held() -> None:
    found = [("사과 파이 만드는 법", 0.8), ("배", 0.9), ("apple", 0.5)]
    evidence = evidence_of("사과 파이 굽기", found)
    assert evidence is not None
    assert evidence.similarity == 0.9
    assert evidence.margin == pytest.approx(0.9 - (0.8 + 0.5) / 2)
    assert evidence.coverage == pytest.approx(2 / 3)  # 사과, 파이; 굽기 is nowhere


def test_one_passage_must_hold_the_words_not_all_together() -> None:
    evidence = evidence_of("apple pear", [("apple", 0.5), ("pear", 0.5)])
    assert evidence is not None
    assert evidence.coverage == 0.5


def test_words_of_far_passages_do_not_count() -> None:
    found = [("x", 0.5), ("y", 0.5), ("z", 0.5), ("apple", 0.5)]
    evidence = evidence_of("apple", found)
    assert evidence is not None
    assert evidence.coverage == 0


def test_nothing_found_answers_nothing() -> None:
    assert evidence_of("apple", []) is None
    assert answerability("apple", []) == 0


def test_a_question_without_words_is_judged_by_similarity_alone() -> None:
    assert answerability("?!", [("apple", 0.9)], FIT) > answerability("?!", [("apple", 0.1)], FIT)


@given(st.floats(-1, 1), st.floats(0, 0.5))
def test_more_similar_and_more_covered_is_never_less_probable(low: float, more: float) -> None:
    bare = answerability("apple", [("pear", low)], FIT)
    assert answerability("apple", [("pear", low + more)], FIT) >= bare
    assert answerability("apple", [("apple", low)], FIT) >= bare
    assert 0 <= bare <= 1


def test_the_regression_is_the_logistic_function_of_its_evidence() -> None:
    assert Fit(0, 0, 0, 0).probability(evidence_of("a", [("b", 0.3)])) == 0.5  # type: ignore[arg-type]  # there is evidence
    assert Fit(1000, 0, 0, 0).probability(evidence_of("a", [("b", 0.3)])) == pytest.approx(1)  # type: ignore[arg-type]  # there is evidence
