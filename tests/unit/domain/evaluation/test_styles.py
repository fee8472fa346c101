"""Telling styles apart, in Korean and in English."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.styles import StyleModel, StyleRow
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.judging import Instruments, judge, lacking
from services.domain.evaluation.style_training import StyleRowsError, likeliest, train_styles
from services.domain.evaluation.styles import style_hash

DATA = Path(__file__).parents[4].parent / "shared" / "data" / "korean_smile_style.jsonl"

THINGS = {
    "ko": ("주문", "배송", "환불", "교환", "예약", "수업", "수리", "포장"),
    "en": ("order", "parcel", "refund", "exchange", "booking", "lesson", "repair", "gift"),
}
VOICES = {
    ("ko", "formal"): ("{}은 내일 처리됩니다.", "{} 문의에 감사드립니다. 곧 안내해 드리겠습니다."),
    ("ko", "casual"): ("{}은 내일 될 거야!", "{}? 걱정 마, 내가 알려줄게~"),
    ("en", "formal"): ("Your {} will be processed tomorrow.", "Thank you for asking about the {}."),
    ("en", "casual"): ("your {}'s gonna be done tomorrow!", "No worries about the {}, I got you!"),
}
ROWS = [
    StyleRow(text=sentence.format(thing), label=label)
    for (language, label), sentences in VOICES.items()
    for sentence, thing in itertools.product(sentences, THINGS[language])
]


@pytest.fixture(scope="module")
def model() -> StyleModel:
    return train_styles(ROWS)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("선물 포장은 모레 처리됩니다.", "formal"),
        ("선물 포장은 모레 될 거야!", "casual"),
        ("Your kettle will be processed on Monday.", "formal"),
        ("your kettle's gonna be done on monday!", "casual"),
    ],
)
def test_unseen_sentences_are_told_apart(model: StyleModel, text: str, label: str) -> None:
    assert likeliest(model, text) == label


def test_the_figure_is_of_rows_that_the_classifier_had_not_seen(model: StyleModel) -> None:
    assert model.held_out == pytest.approx(len(ROWS) * 0.2, abs=1)
    assert model.accuracy > 0.9
    shuffled = [StyleRow(text=f"문장 {n}", label=("a", "b")[n * 7919 % 13 % 2]) for n in range(200)]
    assert train_styles(shuffled).accuracy < 0.8


def test_the_same_rows_give_the_same_classifier(model: StyleModel) -> None:
    again = train_styles(ROWS)
    assert style_hash(again) == style_hash(model)
    assert style_hash(StyleModel.model_validate_json(model.model_dump_json())) == style_hash(model)


def test_a_case_asks_for_a_style(model: StyleModel) -> None:
    case = EvaluationCase.model_validate(
        {"id": "1", "question": "?", "checks": [{"kind": "style", "style": "formal"}]}
    )
    instruments = Instruments(styles=model)
    good = judge(case, Answer("환불은 내일 처리됩니다 [1]."), instruments)
    assert (good.passed, good.checks[0].method) == (True, "classifier")
    bad = judge(case, Answer("환불은 내일 될 거야!"), instruments)
    assert not bad.passed
    assert bad.checks[0].why.startswith("casual")
    assert not judge(case, Answer("환불은 내일 처리됩니다.")).passed


def test_a_style_that_no_classifier_knows_is_said_before_asking(model: StyleModel) -> None:
    case = EvaluationCase.model_validate(
        {"id": "1", "question": "?", "checks": [{"kind": "style", "style": "royal"}]}
    )
    assert "no classifier" in lacking([case], judged=False, model=None)
    assert "tells casual, formal" in lacking([case], judged=False, model=model)
    known = case.model_copy(update={"checks": []})
    assert lacking([known], judged=False, model=None) == ""


def test_too_few_rows_or_labels_are_refused() -> None:
    with pytest.raises(StyleRowsError, match="one label only"):
        train_styles([StyleRow(text=f"{n}", label="a") for n in range(40)])
    with pytest.raises(StyleRowsError, match="'b' has fewer than 10 rows"):
        train_styles([StyleRow(text=f"{n}", label="b" if n < 9 else "a") for n in range(40)])


@pytest.mark.long
def test_formal_and_informal_korean_are_told_apart() -> None:
    if not DATA.is_file():
        pytest.skip(f"{DATA.name} is not on this machine")
    rows = [json.loads(line) for line in DATA.read_text("utf-8").splitlines()]
    both = [
        StyleRow(text=row[label], label=label)
        for row in rows
        for label in ("formal", "informal")
        if row[label]
    ]
    assert train_styles(both).accuracy > 0.97
