"""Telling Korean from everything else."""

from __future__ import annotations

import pytest

from services.domain.language import language_of


@pytest.mark.parametrize(
    "text",
    [
        "환불은 언제까지 되나요?",
        "Inkstone Gateway의 기본 포트는 무엇인가요?",
        "ㅇㅋ 고마워",
        "ㅋㅋㅋ",
        "\u1112\u116a\u11ab\u1107\u116e\u11af",  # decomposed jamo, as macOS writes file names
    ],
)
def test_korean_is_recognised(text: str) -> None:
    assert language_of(text) == "ko"


@pytest.mark.parametrize(
    "text",
    [
        "When can I return it?",
        "Please translate the single word 환불 for me into plain English, thank you",
        "どこですか",
        "我们在哪里",
        "12345 !?",
        "",
    ],
)
def test_everything_else_is_answered_in_english(text: str) -> None:
    assert language_of(text) == "en"
