"""Every check, on answers that pass it and answers that do not."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.evaluation_cases import EvaluationCase
from services.domain.evaluation.answers import Answer, CitedPassage
from services.domain.evaluation.judging import (
    Instruments,
    checks_of,
    faults,
    judge,
    texts_to_embed,
)
from services.domain.evaluation.support import citation_scores

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "pattern": "^(good|bad)$"}},
    "required": ["mood"],
}
REFUNDS = CitedPassage("refunds.md", "Refunds are paid within 14 days of the return.")
WATER = CitedPassage("kettle.md", "주전자에는 물이 0.9 L 들어갑니다. 식초는 쓰지 마세요.")


def case(**fields: Any) -> EvaluationCase:
    return EvaluationCase.model_validate({"id": "1", "question": "How long?", **fields})


def one(check: dict[str, Any], text: str, expected: str | None = None, **answer: Any) -> bool:
    return judge(case(checks=[check], expected=expected), Answer(text, **answer)).passed


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"kind": "exact", "any_of": ["14 days"]}, " 14 days\n", "14 Days"),
        ({"kind": "normalised", "any_of": ["14 days"]}, "14 Days! [1]", "within 14 days"),
        ({"kind": "normalised", "any_of": ["-5"]}, "−5.", "5"),
        ({"kind": "normalised", "any_of": ["○"]}, " ○ ", "×"),
        ({"kind": "contains", "any_of": ["14 days", "two weeks"]}, "In TWO WEEKS.", "a week"),
        ({"kind": "contains", "all_of": ["14", "refund"]}, "refund in 14 days", "14 days"),
        ({"kind": "contains", "none_of": ["sorry"]}, "14 days", "Sorry, no."),
        ({"kind": "contains", "any_of": ["C++"]}, "Write C++.", "Write C."),
        ({"kind": "contains", "any_of": ["14일"]}, "14일 안에 드립니다", "4일"),
        ({"kind": "regex", "pattern": r"\d+ (days|일)"}, "in 14 days", "soon"),
        ({"kind": "numeric", "value": 35_000}, "3만 5천 원입니다", "3만 원입니다"),
        ({"kind": "numeric", "value": 0.3, "tolerance": 0.1}, "0.4 L", "0.41 L"),
        ({"kind": "json_schema", "json_schema": SCHEMA}, '{"mood": "good"}', '{"mood": "meh"}'),
        ({"kind": "json_schema", "json_schema": SCHEMA}, '```json\n{"mood":"bad"}\n```', "good"),
        ({"kind": "rouge_l", "reference": "환불은 14일 안에 됩니다"}, "환불은 14일 이내에 됩니다",
         "모릅니다"),
        ({"kind": "language", "language": "ko"}, "네, 됩니다.", "Yes, it does."),
        ({"kind": "length", "at_most": 5}, "short", "longer than that"),
        ({"kind": "length", "at_least": 2, "unit": "words"}, "two words [1]", "one [1]"),
    ],
)  # fmt: skip
def test_a_check_tells_right_from_wrong(check: dict[str, Any], right: str, wrong: str) -> None:
    assert one(check, right)
    assert not one(check, wrong)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("positive", True),
        ("Positive.", True),
        ("The review is very positive!", False),
        ("negative", False),
        ("positive or negative", False),
        ("It is great", False),
    ],
)
def test_a_label_is_the_one_that_the_answer_names(text: str, passes: bool) -> None:
    labels = ["positive", "negative", "very positive"]
    assert one({"kind": "label", "labels": labels}, text, expected="positive") is passes


def test_a_korean_label_may_bear_a_particle() -> None:
    check = {"kind": "label", "labels": ["긍정", "부정"]}
    assert one(check, "이 리뷰는 긍정입니다.", expected="긍정")
    assert not one(check, "부정적인 면과 긍정", expected="부정")


@pytest.mark.parametrize(
    ("labels", "text", "named"),
    [
        (["+", "-"], "+", "+"),
        (["+", "-"], "정답은 - 입니다.", "-"),
        (["○", "×"], "○입니다.", "○"),
        (["○", "×"], "정답: ×", "×"),
        (["C", "C++", "C#"], "C++입니다.", "C++"),
        (["C", "C++", "C#"], "It is C.", "C"),
        (["A", "A-", "A+"], "A-입니다", "A-"),
        (["-1", "0", "1"], "-1", "-1"),
        (["!", "!?"], "!?", "!?"),
        (["긍정", "긍정(?)", "부정"], "긍정(?)", "긍정(?)"),
        (["긍정", "긍정.", "부정"], "긍정", "긍정."),
        (["1", "5"], "1.5", None),
    ],
)
def test_labels_that_only_signs_tell_apart_are_told_apart(
    labels: list[str], text: str, named: str | None
) -> None:
    check = {"kind": "label", "labels": labels}
    passed = [label for label in labels if one(check, text, expected=label)]
    assert (named in passed) if named else not passed
    assert len({label.strip(".") for label in passed}) <= 1


def test_a_pattern_that_takes_for_ever_fails_in_time() -> None:
    judged = judge(case(checks=[{"kind": "regex", "pattern": r"(a|aa)+$"}]), Answer("a" * 60 + "b"))
    assert not judged.passed


def test_a_schema_that_refers_to_itself_for_ever_fails_and_does_not_break() -> None:
    endless = {"$ref": "#"}
    assert not one({"kind": "json_schema", "json_schema": endless}, "{}")


def test_without_checks_the_expected_words_must_stand_in_the_answer() -> None:
    assert judge(case(expected="14 days"), Answer("It takes 14 days.")).passed
    assert not judge(case(expected="14 days"), Answer("No idea.")).passed


def test_a_case_that_the_documents_answer_must_be_answered() -> None:
    answerable = case(expected="14", answerable=True)
    assert judge(answerable, Answer("14 days")).passed
    hedged = judge(answerable, Answer("14? I could not find this.", abstained=True))
    assert not hedged.passed
    assert "abstained" in hedged.complaints


def test_a_case_that_the_documents_do_not_answer_must_be_declined() -> None:
    assert judge(case(answerable=False), Answer("not found", abstained=True)).passed
    assert not judge(case(answerable=False), Answer("14 days")).passed


def test_a_check_that_is_not_required_only_scores() -> None:
    judged = judge(
        case(expected="14", checks=[{"kind": "rouge_l", "required": False}]), Answer("no")
    )
    assert judged.passed
    assert judged.checks[0].score == 0.0


def test_a_document_counts_as_cited_when_a_marker_points_to_it() -> None:
    check = {"kind": "cites", "any_of": ["refunds.md"]}
    assert one(check, "14 days [1]", citations={1: REFUNDS})
    assert not one(check, "14 days", citations={})
    assert not one(check, "14 days [1]", citations={1: WATER})


def test_citation_recall_and_precision_are_those_of_alce() -> None:
    """The passages of a sentence entail it together; a needless one costs precision only."""

    def entails(text: str, claim: str) -> bool:
        return all(word in text for word in claim.rstrip(".").split())

    citations = {n: CitedPassage(str(n), text) for n, text in ((1, "A B"), (2, "B C"), (3, "Z"))}
    whole = Answer("A C [1][2]. A [1][3]. Z [1]. B.", citations=citations)
    recall, precision = citation_scores(whole, entails)
    # Recalled: the first (both needed) and the second (3 is needless), of four sentences.
    assert recall == 2 / 4
    assert precision == (2 + 1 + 0) / 5
    unknown = Answer("A [1][9].", citations=citations)
    assert citation_scores(unknown, entails) == (0.0, 0.0)
    assert citation_scores(Answer(""), entails) == (0.0, 0.0)


def test_words_stand_in_for_entailment_and_are_named_so() -> None:
    kinds = ("citation_recall", "citation_precision", "grounded")
    checks = [{"kind": kind, "at_least": 0.9} for kind in kinds]
    told = Answer("Refunds are paid within 14 days [1].", citations={1: REFUNDS})
    judged = judge(case(checks=checks), told)
    assert judged.passed
    assert {outcome.method for outcome in judged.checks} == {"lexical"}
    wrong = Answer("Refunds are paid within 30 days [1].", citations={1: REFUNDS})
    assert not judge(case(checks=checks), wrong).passed
    korean = Answer("물은 0.9 L 들어갑니다 [1].", citations={1: WATER})
    assert judge(case(checks=checks), korean).passed
    assert not judge(
        case(checks=checks), Answer("커피는 뜨겁습니다 [1].", citations={1: WATER})
    ).passed


def test_meaning_is_compared_by_the_vectors_that_are_given() -> None:
    similar = case(expected="two weeks", checks=[{"kind": "similar", "at_least": 0.9}])
    answer = Answer("14 days [1]", citations={1: REFUNDS})
    assert texts_to_embed(similar, answer) == ["14 days", "two weeks"]
    near = {"14 days": [1.0, 0.1], "two weeks": [1.0, 0.0]}
    assert judge(similar, answer, Instruments(near)).passed
    assert not judge(similar, answer, Instruments({**near, "two weeks": [0.0, 1.0]})).passed


def test_the_language_of_the_question_is_wanted_when_none_is_named() -> None:
    korean = case(question="환불은 며칠?", checks=[{"kind": "language"}])
    assert judge(korean, Answer("14일입니다.")).passed
    assert not judge(korean, Answer("14 days.")).passed


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"checks": [{"kind": "regex", "pattern": "("}]}, "pattern"),
        ({"checks": [{"kind": "json_schema", "json_schema": {"type": "nope"}}]}, "schema"),
        ({"checks": [{"kind": "json_schema", "json_schema": {"$ref": "http://x/y"}}]}, "outside"),
        ({"expected": "c", "checks": [{"kind": "label", "labels": ["a", "b"]}]}, "labels"),
        ({"expected": " ", "checks": [{"kind": "label", "labels": [" ", "b"]}]}, "blank"),
        ({"expected": "[1]", "checks": [{"kind": "label", "labels": ["[1]", "b"]}]}, "citation"),
        ({"checks": [{"kind": "length", "at_least": 5, "at_most": 1}]}, "no length"),
    ],
)
def test_a_case_that_no_answer_can_pass_is_found(fields: dict[str, Any], fault: str) -> None:
    assert fault in next(faults(case(**fields)))


@pytest.mark.parametrize(
    "fields",
    [
        {"question": None, "expected": "x"},
        {"messages": [{"role": "user", "content": "and?"}], "expected": "x"},
        {"question": None, "messages": [{"role": "assistant", "content": "a"}], "expected": "x"},
        {},
        {"answerable": True},
        {"checks": [{"kind": "rouge_l"}]},
        {"checks": [{"kind": "nonsense"}]},
        {"expected": "x", "expect": "y"},
    ],
)
def test_a_case_that_cannot_be_asked_or_judged_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        case(**fields)


def test_a_conversation_is_asked_by_its_last_turn() -> None:
    turns = [{"role": "user", "content": "환불은?"}, {"role": "assistant", "content": "14일."}]
    long = case(
        question=None, messages=[*turns, {"role": "user", "content": "교환은?"}], expected="7일"
    )
    assert long.asked == "교환은?"
    assert [turn.role for turn in long.turns] == ["user", "assistant", "user"]
    assert [check.kind for check in checks_of(long)] == ["contains"]
