"""Answers that decline, and those that only sound like it."""

from __future__ import annotations

import pytest

from services.domain.distillation.refusals import declines


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "Sorry, I am unable to answer questions about people.",
        "As an AI language model, I do not have opinions.",
        "죄송하지만 해당 요청은 도와드릴 수 없습니다.",
        "죄송합니다, 그 질문에는 답변드릴 수 없습니다.",
        "저는 AI 언어 모델로서 의견이 없습니다.",
    ],
)
def test_a_refusal_is_known(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sorry to hear that! You can return it within 14 days [1].",
        "I can't recommend the large one; take the small one.",
        "Our assistant is sold as an AI model kit.",
        "죄송하지만 환불은 14일 이내에만 가능합니다.",
        "주말에는 방문하실 수 없습니다.",
        "AI 모델은 두 가지입니다.",
    ],
)
def test_an_answer_that_says_no_is_an_answer(text: str) -> None:
    assert not declines(text)
