"""What is left of Korean words without their endings."""

from __future__ import annotations

import pytest

from services.domain.korean_endings import ENDINGS, stem


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("원입니다", "원이에요", "원은", "원"), "원"),
        (("매장에서는", "매장은", "매장이에요"), "매장"),
        (("신청해요", "신청합니다", "신청하세요", "신청하면"), "신청"),
        (("때부터예요", "때는"), "때"),
    ],
)
def test_voices_leave_the_same_stem(words: tuple[str, ...], left: str) -> None:
    assert {stem(word) for word in words} == {left}


def test_a_word_that_is_an_ending_stays() -> None:
    assert stem("이") == "이"
    assert all(stem(ending) for ending in ENDINGS)
