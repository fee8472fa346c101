"""Prompts for a teacher, and what an answer to one must show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.domain.distillation.prompts import Standard, case_of, read_prompts
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.cases import CasesError


def lines(*prompts: dict[str, Any]) -> str:
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in prompts)


def kinds(prompt: dict[str, Any], text: str, *, grounded: bool = False, **standard: Any) -> Any:
    read = next(iter(read_prompts(lines(prompt), most=1).asked.values()))
    case = case_of(read, Standard(**standard), Answer(text), grounded=grounded)
    return [check.kind for check in case.checks]


def test_prompts_that_differ_in_case_and_space_are_asked_once() -> None:
    read = read_prompts(lines({"question": "환불은  며칠?"}, {"question": "환불은 며칠?"}), most=9)
    assert (len(read.asked), read.repeated) == (1, 1)


def test_a_prompt_has_its_line_for_a_name() -> None:
    read = read_prompts("\n" + lines({"question": "a"}), most=9)
    assert [one.id for one in read.asked.values()] == ["line-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no prompts"),
        ("{", "line 1"),
        (lines({"question": "a", "id": "x"}, {"question": "b", "id": "x"}), "stands twice"),
        (lines({"question": "a"}, {"question": "b"}, {"question": "c"}), "at most 2"),
        (lines({"messages": [{"role": "assistant", "content": "a"}]}), "user's turn"),
        (lines({"question": "a", "checks": [{"kind": "exact"}]}), "needs the case's `expected`"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(CasesError, match=said):
        read_prompts(text, most=2)


def test_prose_is_held_to_the_language_of_its_question() -> None:
    assert kinds({"question": "언제 열어요?"}, "It opens at nine o'clock.") == [
        "length", "language"]  # fmt: skip
    assert "language" not in kinds({"question": "몇 개?"}, "42")
    assert "language" not in kinds({"question": "a"}, "abcdefghij", same_language=False)
    label = {"kind": "label", "labels": ["positive", "negative"], "expected": "positive"}
    assert kinds({"question": "좋았어요", "checks": [label]}, "positive") == ["label", "length"]


def test_passages_ask_for_citations_unless_told_otherwise() -> None:
    prompt = {"question": "How long?", "answerable": True}
    assert kinds(prompt, "", grounded=True)[-2:] == ["abstains", "citation_recall"]
    assert "citation_recall" not in kinds(prompt, "", grounded=True, cite=False)
    assert "citation_recall" not in kinds(prompt, "")
