"""Names of rungs, and their order."""

from __future__ import annotations

import pytest

from services.domain.ladder.rungs import Rung, RungError, rungs_of

WHOLE = "rag+lora-1000,lora-1000,lora-100,rag+few-shot,rag,structured,cot,few-shot,zero-shot"


def test_rungs_stand_from_the_least_effort_up_whatever_their_order() -> None:
    assert [rung.name for rung in rungs_of(WHOLE)] == [
        "zero-shot", "few-shot", "structured", "cot", "rag", "rag+few-shot", "lora-100",
        "lora-1000", "rag+lora-1000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rung"),
    [
        ("few-shot-4", Rung(examples=4)),
        ("few-shot", Rung(examples=8)),
        ("few-shot+rag", Rung(examples=8, retrieval=True)),
        ("zero-shot+rag", Rung(retrieval=True)),
        ("lora-100+structured", Rung(rows=100, schema=True)),
    ],
)
def test_a_rung_is_read_from_its_parts(text: str, rung: Rung) -> None:
    assert rungs_of(text) == [rung]
    assert rungs_of(rung.name) == [rung]


def test_a_rung_that_is_named_twice_is_measured_once() -> None:
    assert len(rungs_of("rag, few-shot-8,few-shot,rag")) == 2


def test_a_hosted_model_stands_behind_ones_own_rungs() -> None:
    hosted = Rung().on("gpt-x")
    assert hosted.name == "gpt-x:zero-shot"
    assert max([hosted, *rungs_of(WHOLE)], key=lambda one: one.effort) == hosted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rung is named"),
        ("lora", "is no rung; name zero-shot"),
        ("lora-100+few-shot", "served with the prompt that it was trained with"),
        ("lora-100+cot", "served with the prompt that it was trained with"),
        ("structured+cot", "no room for steps"),
        ("few-shot-0", "shows 0 examples; 1 to 32"),
        ("few-shot-33", "shows 33 examples; 1 to 32"),
    ],
)
def test_what_is_no_rung_is_refused_with_the_mend(text: str, why: str) -> None:
    with pytest.raises(RungError, match=why):
        rungs_of(text)
