"""Rows that are held out: chosen by the rule, never trained on, and judged fairly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.contracts.datasets import DatasetPolicy, TrainingRow
from services.domain.datasets.examples import Example
from services.domain.datasets.likeness import leaks
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.judging import judge
from services.domain.passages import Source, grounded_turn
from services.tuner.datasets.cases import cases_of, judging_by
from services.tuner.datasets.holdout import FEWEST, MOST, SMALLEST_FILE, held_out


def example(line: int, question: str, answer: str, *before: dict[str, str]) -> Example:
    turns = [*before, {"role": "user", "content": question}]
    turns.append({"role": "assistant", "content": answer})
    return Example(line, TrainingRow.model_validate({"messages": turns}).turns)


def examples(count: int) -> list[Example]:
    return [example(n + 1, f"질문 {n}?", f"답 {n}") for n in range(count)]


@pytest.mark.parametrize(
    ("rows", "share", "wanted"),
    [
        (SMALLEST_FILE - 1, None, 0),
        (SMALLEST_FILE, None, FEWEST),
        (600, None, 60),
        (5000, None, MOST),
        (60, 0.5, 30),
        (600, 0.0, 0),
    ],
)
def test_so_many_rows_are_held_out(rows: int, share: float | None, wanted: int) -> None:
    assert len(held_out(examples(rows), share=share, seed=1)) == wanted


def test_the_seed_chooses_the_rows() -> None:
    def lines(seed: int) -> list[int]:
        return [one.line for one in held_out(examples(200), share=None, seed=seed)]

    assert lines(1) == lines(1) == sorted(lines(1))
    assert lines(1) != lines(2)


def test_a_question_that_stands_twice_is_not_held_out() -> None:
    twice = [example(n + 1, f"질문 {n // 2}?", "답") for n in range(200)]
    alone = example(201, "혼자?", "답")
    assert held_out([*twice, alone], share=None, seed=1) == [alone]


def grounded(line: int, question: str) -> Example:
    sources = [Source(f"Paper {line}", f"Text {line}.")]
    return example(line, grounded_turn(question, sources), "답")


def test_a_question_that_stands_with_two_sets_of_passages_is_not_held_out() -> None:
    twice = [grounded(n + 1, f"질문 {n % 60}?") for n in range(120)]
    once = [grounded(n + 1, f"질문 {n}?") for n in range(120, 180)]
    apart = held_out([*twice, *once], share=None, seed=1)
    assert len(apart) == FEWEST
    lines = {one.line for one in apart}
    assert lines <= set(range(121, 181))
    trained = [one for one in [*twice, *once] if one.line not in lines]
    assert list(leaks(trained, [one.question for one in apart], DatasetPolicy())) == []


def test_a_question_that_another_conversation_begins_with_is_not_held_out() -> None:
    first = [{"role": "user", "content": "둘?"}, {"role": "assistant", "content": "예."}]
    rows = [example(1, "하나?", "답"), example(2, "둘?", "답"), example(3, "셋?", "답", *first)]
    assert [one.line for one in held_out(rows, share=1.0, seed=1)] == [1, 3]


def passes(answers: list[str], expected: str, said: str) -> bool:
    (case,) = cases_of(
        [example(1, "?", expected)], judging_by(answers), instructed=False, asked_after=None
    )
    return judge(case, Answer(said, False, {})).passed


def test_a_few_short_answers_that_recur_are_labels() -> None:
    labels = ["긍정", "부정"] * 10
    assert passes(labels, "긍정", "긍정입니다.")
    assert not passes(labels, "긍정", "부정")
    assert not passes(labels, "긍정", "잘 모르겠습니다")


def test_json_must_have_the_fields_and_the_value_of_those_that_take_few() -> None:
    def written(sentiment: str, reason: str) -> str:
        return json.dumps({"sentiment": sentiment, "reason": reason}, ensure_ascii=False)

    answers = [written("긍정" if n % 2 else "부정", f"이유 {n}") for n in range(20)]
    assert passes(answers, written("긍정", "재미"), written("긍정", "다른 이유"))
    assert not passes(answers, written("긍정", "재미"), written("부정", "재미"))
    assert not passes(answers, written("긍정", "재미"), '{"sentiment": "긍정"}')
    assert not passes(answers, written("긍정", "재미"), "긍정")


def test_other_answers_are_compared_as_texts() -> None:
    answers = [f"{n}번입니다." for n in range(20)]
    assert passes(answers, "3번입니다.", "3번입니다")
    assert not passes(answers, "3번입니다.", "4번입니다")
    long = "환불은 물건을 받은 날부터 열나흘 안에 하실 수 있고, 영수증이 있어야 합니다."
    assert passes([*answers, long], long, "환불은 받은 날부터 열나흘 안에 하실 수 있습니다.")
    assert not passes([*answers, long], long, "내일 다시 오세요.")


def asked(one: Example, **options: Any) -> list[tuple[str, str]]:
    given = {"instructed": False, "asked_after": None, **options}
    (case,) = cases_of([one], judging_by([one.answer]), **given)
    return [(turn.role, turn.content) for turn in case.turns]


def test_a_case_is_asked_as_it_will_be_served() -> None:
    passages = "Passages:\n[1] Mill\nIt opened in 1904.\n\nQuestion: When?"
    row = example(1, passages, "1904 [1].", {"role": "developer", "content": "Be brief."})
    assert asked(row) == [("system", "Be brief."), ("user", passages)]
    assert asked(row, instructed=True) == [("user", passages)]
    assert asked(row, instructed=True, asked_after="Question:") == [("user", "When?")]


def test_a_conversation_is_asked_up_to_its_last_answer() -> None:
    first = [{"role": "user", "content": "언제?"}, {"role": "assistant", "content": "내일."}]
    assert asked(example(1, "어디?", "서울.", *first)) == [
        ("user", "언제?"),
        ("assistant", "내일."),
        ("user", "어디?"),
    ]
