"""The guard sets that come with the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import EvaluationRules
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.cases import read_cases
from services.domain.evaluation.judging import judge
from services.domain.evaluation.pairs import Pairs
from services.domain.evaluation.verdicts import rule
from services.domain.language import language_of

GUARDS = Path(__file__).parents[4] / "examples" / "evaluation" / "guards"
NAMES = ("abstention", "forgetting", "grounding")


def cases(name: str) -> list[EvaluationCase]:
    return read_cases((GUARDS / f"{name}.jsonl").read_text("utf-8"), most=1000)


@pytest.mark.parametrize("name", NAMES)
def test_half_of_each_set_is_korean(name: str) -> None:
    read = cases(name)
    assert all(case.guards and name in case.tags for case in read)
    for language in ("en", "ko"):
        mine = [case for case in read if language in case.tags]
        assert len(mine) * 2 == len(read)
        assert {language_of(case.asked) for case in mine} == {language}


@pytest.mark.parametrize("name", NAMES)
def test_neither_silence_nor_the_question_itself_passes(name: str) -> None:
    for case in cases(name):
        assert not judge(case, Answer("...")).passed, case.id
        assert not judge(case, Answer(case.asked)).passed, case.id


def test_together_they_are_enough_for_the_guard_margin() -> None:
    read = [case for name in NAMES for case in cases(name)]
    assert len({case.id for case in read}) == len(read) == 100
    kept = Pairs(both=len(read), gained=0, lost=0, neither=0)
    better = Pairs(both=40, gained=15, lost=0, neither=0)
    assert rule(better, kept, EvaluationRules()).verdict == "adopt"
    few = Pairs(both=40, gained=0, lost=0, neither=0)
    assert rule(better, few, EvaluationRules()).verdict == "insufficient"


@pytest.mark.parametrize(
    ("id_", "text", "passed"),
    [
        ("forgetting-ko-12", "부정", True),
        ("forgetting-ko-12", "긍정", False),
        ("forgetting-en-01", "It is 42.", True),
        ("grounding-ko-08", "8크라운입니다.", True),
        ("abstention-ko-01", "제가 가진 문서에서는 답을 찾을 수 없습니다.", True),
        ("abstention-en-01", "I could not find this in the documents I have.", True),
        ("abstention-en-01", "It is Ms Hale.", False),
    ],
)
def test_right_answers_pass_and_wrong_ones_do_not(id_: str, text: str, passed: bool) -> None:
    case = next(case for case in cases(id_.split("-", maxsplit=1)[0]) if case.id == id_)
    assert judge(case, Answer(text)).passed is passed
