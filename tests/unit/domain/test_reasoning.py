"""Steps before the final answer: hidden in whole, whatever pieces the text comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.reasoning import ReasoningFilter


def filtered(*pieces: str) -> tuple[str, str]:
    filter_ = ReasoningFilter()
    answer = "".join(map(filter_.push, pieces)) + filter_.close()
    return filter_.reasoning, answer.strip()


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("Two and two.\nFinal answer: 4 [1]", "Two and two.", "4 [1]"),
        ("둘에 둘을 더한다.\n최종 답변: 4", "둘에 둘을 더한다.", "4"),
        ("A.\n**Final answer:** B", "A.", "B"),
        ("A.\n**Final Answer**: **B** it is", "A.", "**B** it is"),
        ("A. final answer: B. Final answer: C", "A.", "B. Final answer: C"),
        ("I write 'Final answer:' last.\nFinal answer: B", "I write 'Final answer:' last.", "B"),
        ("Just B", "", "Just B"),
        ("A.\nFinal answer:", "A.", ""),
        ("", "", ""),
    ],
)
def test_what_follows_the_marker_is_the_answer(text: str, reasoning: str, answer: str) -> None:
    assert filtered(text) == (reasoning, answer)
    assert filtered(*text) == (reasoning, answer)


def test_nothing_of_the_steps_comes_out_before_the_marker() -> None:
    filter_ = ReasoningFilter()
    assert filter_.push("step one, step two, fin") == ""
    assert filter_.push("al answer: yes").strip() == "yes"
    assert filter_.push(" indeed") == " indeed"


PARTS = st.lists(
    st.sampled_from(["Final answer:", "final ", "**", "답", "최종 답:", "x\n", "'", " "])
)


@given(PARTS, st.data())
def test_the_pieces_make_no_difference(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert filtered(*pieces) == filtered(text)
