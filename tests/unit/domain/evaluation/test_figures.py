"""Sets of cases, and the figures of what arms answered to them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult, CheckResult
from services.domain.evaluation.cases import CasesError, dataset_hash, read_cases
from services.domain.evaluation.figures import Run, report_of


def lines(*cases: object) -> str:
    return "\n".join(json.dumps(case, ensure_ascii=False) for case in cases)


def numbered(count: int, *, guards: int = 0) -> list[EvaluationCase]:
    return [
        EvaluationCase(
            id=str(n), question="?", expected="x", tags=["guard"] if n < guards else ["ko"]
        )
        for n in range(count)
    ]


def run(name: str, passes: Sequence[bool], text: str = "x") -> Run:
    answers = [
        AnswerResult(
            case=str(n),
            passed=passed,
            text=text,
            checks=[CheckResult(check="contains", passed=passed, score=float(passed), why="")],
            milliseconds=100.0 + n,
            release="support/1",
        )
        for n, passed in enumerate(passes)
    ]
    return Run(name, answers)


def test_a_set_is_read_line_by_line_in_any_script() -> None:
    first = {"id": "가", "question": "환불은\u2028며칠?", "expected": "14일"}
    cases = read_cases("\ufeff" + lines(first) + "\n\n", most=5)
    assert cases[0].question == "환불은\u2028며칠?"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no cases"),
        ("{", "line 1"),
        (lines({"id": "a", "question": "?", "expected": "x"}, {"id": "b"}), "line 2"),
        (lines(*[{"id": "a", "question": "?", "expected": "x"}] * 2), "line 2: the id 'a'"),
        (lines(*({"id": str(n), "question": "?", "expected": "x"} for n in range(3))), "at most 2"),
        (lines({"id": "a", "question": "?", "checks": [{"kind": "regex", "pattern": "("}]}),
         "pattern"),
    ],
)  # fmt: skip
def test_a_broken_line_is_named(text: str, told: str) -> None:
    with pytest.raises(CasesError, match=told):
        read_cases(text, most=2)


def test_a_set_is_named_by_its_content_whatever_its_order() -> None:
    cases = numbered(3)
    assert dataset_hash(cases) == dataset_hash(cases[::-1])
    assert dataset_hash(cases) != dataset_hash(cases[:2])
    kinds = [
        EvaluationCase.model_validate(
            {"id": "1", "question": "?", "expected": "x", "checks": [{"kind": kind}]}
        )
        for kind in ("exact", "normalised")
    ]
    assert dataset_hash(kinds[:1]) != dataset_hash(kinds[1:])


def test_one_arm_is_reported_with_intervals_by_check_and_by_tag() -> None:
    report = report_of(numbered(40, guards=10), run("support", [True] * 30 + [False] * 10))
    arm = report.baseline
    assert (arm.pass_rate.value, arm.pass_rate.count) == (0.75, 40)
    assert arm.pass_rate.low < 0.75 < arm.pass_rate.high
    assert arm.by_tag["guard"].value == 1.0
    assert arm.by_tag["guard"].low < 1.0
    assert arm.measures["contains"].value == 0.75
    assert (arm.release, arm.consistency, report.comparison) == ("support/1", None, None)


def test_two_arms_are_compared_case_by_case_with_the_guards_apart() -> None:
    cases = numbered(60, guards=20)
    first = run("support", [True] * 30 + [False] * 30)
    other = run("candidate", [False] * 20 + [True] * 40)
    found = report_of(cases, first, other).comparison
    assert found is not None
    assert (found.main.gained, found.main.lost) == (30, 0)
    assert (found.guards.lost, found.verdict) == (20, "reject")
    assert found.lost == [str(n) for n in range(20)]
    assert found.by_tag["ko"].gained == 30
    assert found.measures["contains"].value == pytest.approx(10 / 60)


def test_repeats_decide_by_their_majority_and_show_how_steady_the_answers_are() -> None:
    def answer(n: int, *, passed: bool, text: str) -> AnswerResult:
        return AnswerResult(case="0", repeat=n, passed=passed, text=text)

    texts = ["14일", "14일.", "몰라요"]
    answers = [answer(n, passed=n < 2, text=text) for n, text in enumerate(texts)]
    report = report_of(numbered(1), Run("support", answers))
    assert report.baseline.pass_rate.value == 1.0
    assert report.baseline.consistency == pytest.approx(2 / 3)
    assert report.repeats == 3


def test_a_case_without_an_answer_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        report_of(numbered(3), run("support", [True, True]))
