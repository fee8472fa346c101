"""Which questions of a training file count as those of the cases that judge it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.contracts.assistants import ContextTemplate
from services.contracts.datasets import DatasetPolicy, Message, TrainingRow
from services.domain.datasets.examples import Example, bare
from services.domain.datasets.likeness import leaks
from services.domain.passages import Source, grounded_turn

KOREAN = ContextTemplate(passages_label="참고 자료:", question_label="질문:")
LONG = "How many days after the delivery may a kettle be returned to the shop by the harbour?"


def example(line: int, *said: str | Message) -> Example:
    """A conversation in which user and assistant take turns."""
    roles = ("user", "assistant")
    turns = [
        {"role": roles[place % 2], "content": one}
        if isinstance(one, str)
        else one.model_dump(exclude_none=True)
        for place, one in enumerate(said)
    ]
    return Example(line, TrainingRow.model_validate({"messages": turns}).turns)


def grounded(question: str, number: int, template: ContextTemplate | None = None) -> str:
    sources = [Source(f"Paper {number}", f"Text {number}."), Source("Question: x", "Question: y")]
    return grounded_turn(question, sources, template)


def found(rows: Sequence[Example], judged: Sequence[str], **options: str) -> dict[str, list[int]]:
    return {one.code: one.rows for one in leaks(rows, judged, DatasetPolicy(), **options)}


@pytest.mark.parametrize("template", [None, KOREAN], ids=["usual", "own"])
def test_a_question_behind_passages_is_the_question_of_the_case(
    template: ContextTemplate | None,
) -> None:
    questions = [f"문서 {n}은 언제 나왔나요?" for n in range(10)]
    rows = [example(n + 1, grounded(one, n, template), "답.") for n, one in enumerate(questions)]
    label = (template or ContextTemplate()).question_label
    assert found(rows, questions, label=label) == {"leaked_rows": list(range(1, 11))}
    assert found(rows, ["문서 11은 언제 나왔나요?"], label=label) == {}


def test_two_rows_with_other_passages_ask_the_same() -> None:
    rows = [example(n + 1, grounded("When?", n), "Now.") for n in range(3)]
    assert found(rows, [grounded("When?", 7)]) == {"leaked_rows": [1, 2, 3]}


def test_a_question_behind_passages_can_be_nearly_that_of_a_case() -> None:
    rows = [example(1, grounded(LONG, 1), "14."), example(2, grounded("Who?", 2), "Kim.")]
    assert found(rows, [LONG.replace("?", ", please?")]) == {"nearly_leaked_rows": [1]}


def test_every_trained_answer_of_a_conversation_counts() -> None:
    rows = [
        example(1, "언제 여나요?", "아홉 시.", "어디예요?", "항구 길."),
        example(2, LONG, "14 days.", "Who pays?", "We do."),
    ]
    assert found(rows, ["언제 여나요?"]) == {"leaked_rows": [1]}
    assert found(rows, ["어디예요?"]) == {"leaked_rows": [1]}
    assert found(rows, [LONG.replace("?", ", please?")]) == {"nearly_leaked_rows": [2]}


def test_a_turn_whose_answer_is_not_trained_gives_nothing_away() -> None:
    untrained = Message(role="assistant", content="아홉 시.", weight=0)
    rows = [example(1, "언제 여나요?", untrained, "어디예요?", "항구 길.")]
    assert found(rows, ["언제 여나요?"]) == {}


@pytest.mark.parametrize(
    ("turn", "question"),
    [
        ("When?", "When?"),
        ("Question: When?", "When?"),
        ("Passages:\n[1] Mill\nIt opened.\n\nQuestion: When?", "When?"),
        ("Passages:\n[1] A\nQuestion: no\n\nQuestion: When?\nAnd why?", "When?\nAnd why?"),
        ("Question: Is it good?\nQuestion: Why?", "Is it good?\nQuestion: Why?"),
        ("Text: It is.\nQuestion: Is it good?", "Text: It is.\nQuestion: Is it good?"),
        ("What does Question: mean?", "What does Question: mean?"),
    ],
)
def test_a_question_is_what_follows_the_label(turn: str, question: str) -> None:
    assert bare(turn) == question
