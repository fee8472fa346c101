"""Passages of several queries share the places."""

from __future__ import annotations

from services.contracts.knowledge import Passage
from services.gateway.knowledge.searching import _hit_of, _interleaved
from tests.fakes.retriever import passage


def ranking(*names: str) -> list[Passage]:
    return [passage(name, document_id=name) for name in names]


def test_the_best_of_every_query_come_first_and_each_passage_once() -> None:
    merged = _interleaved([ranking("a", "b", "c"), ranking("b", "d")], 10)
    assert [found.document_id for found in merged] == ["a", "b", "d", "c"]
    assert [found.document_id for found in _interleaved([ranking("a", "b")], 1)] == ["a"]
    assert _interleaved([[], []], 5) == []


def test_a_hit_says_its_files_name_or_else_its_title() -> None:
    found = passage("t", document_id="file-1", title="제목", metadata={"tags": ["a", 1]})
    assert _hit_of(found, {"file-1": "규정.md"}).filename == "규정.md"
    assert _hit_of(found, {}).filename == "제목"
    assert _hit_of(found, {}).attributes == {"tags": "a, 1"}


def test_a_score_is_between_nothing_and_one() -> None:
    assert _hit_of(passage("t", similarity=-0.2), {}).score == 0
    assert _hit_of(passage("t", similarity=1.0000001), {}).score == 1
