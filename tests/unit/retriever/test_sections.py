"""The part of a section around a chunk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.retriever.sections import surroundings
from tests.fakes.hashing_embedder import count_words


def around(text: str, chunk: str, budget: int = 60) -> str:
    """The surrounding section of a chunk that stands in the text once."""
    start = text.index(chunk)
    low, high = surroundings(
        text, start, start + len(chunk), budget_tokens=budget, count_tokens=count_words
    )
    return text[low:high]


SECTION = "## 교환\n\n첫 문단입니다. 둘째 문장.\n\n가운데 문단입니다.\n\n끝 문단입니다."
GUIDE = f"# 안내\n\n## 배송\n\n배송 문단.\n\n{SECTION}\n\n## 환불\n\n환불 문단."


def test_a_section_within_the_budget_is_whole_from_its_heading_to_the_next() -> None:
    assert around(GUIDE, "가운데 문단입니다.") == SECTION


def test_a_chunk_that_begins_with_its_heading_takes_nothing_from_the_section_above() -> None:
    assert around(GUIDE, "## 교환\n\n첫 문단입니다. 둘째 문장.") == SECTION


def test_a_chunk_over_several_short_sections_is_widened_at_its_ends_only() -> None:
    chunk = "# 안내\n\n## 배송\n\n배송 문단.\n\n## 교환\n\n첫 문단입니다."
    assert around(GUIDE, chunk) == GUIDE[: GUIDE.index("\n\n## 환불")]


def test_a_number_sign_in_code_is_no_heading() -> None:
    text = "## Setup\n\nRun this.\n\n```sh\n# install\npip install it\n# start\n```\n\nThen wait."
    assert around(text, "Then wait.") == text
    assert around(text, "Run this.") == text


def test_a_fence_that_is_shown_in_a_longer_one_does_not_end_it() -> None:
    text = "## Setup\n\nRun this.\n\n````md\n```\n# Title\n```\n````\n\n# Next\n\nThen wait."
    assert around(text, "Run this.") == text[: text.index("\n\n# Next")]
    assert around(text, "Then wait.") == text[text.index("# Next") :]


def test_the_nearest_paragraphs_are_kept_when_not_all_fit() -> None:
    paragraphs = [f"Paragraph {n} has six words." for n in range(9)]
    text = "\n\n".join(paragraphs)
    assert around(text, paragraphs[4], budget=18) == "\n\n".join(paragraphs[3:6])


def test_sentences_fill_what_whole_paragraphs_leave_of_the_budget() -> None:
    text = "One two three. Four five six. Seven eight nine.\n\nThe chunk."
    assert around(text, "The chunk.", budget=8) == "Seven eight nine.\n\nThe chunk."


def test_a_chunk_over_the_budget_is_left_as_it_is() -> None:
    assert around(GUIDE, "첫 문단입니다. 둘째 문장.", budget=2) == "첫 문단입니다. 둘째 문장."


def test_one_long_side_is_used_up_when_the_other_ends_early() -> None:
    text = "The chunk. " + " ".join(f"Sentence {n} here." for n in range(20))
    assert around(text, "The chunk.", budget=12).endswith("Sentence 1 here.")


def test_a_token_counter_that_stops_early_does_not_widen_the_budget() -> None:
    text = "\n\n".join(["The chunk.", "word " * 400])

    def stops_early(piece: str) -> int:
        return min(count_words(piece), 100)

    low, high = surroundings(text, 0, 10, budget_tokens=300, count_tokens=stops_early)
    assert (low, high) == (0, 10)


PIECES = st.sampled_from(
    ["# Title\n", "## 제목\n", "A sentence. ", "문장입니다. ", "\n\n", "\n", "word ", "🙂"]
)


@given(st.lists(PIECES, max_size=40).map("".join), st.integers(0, 80), st.integers(0, 80))
def test_the_span_holds_the_chunk_and_stays_in_the_text(text: str, at: int, length: int) -> None:
    start = min(at, len(text))
    end = min(start + length, len(text))
    low, high = surroundings(text, start, end, budget_tokens=12, count_tokens=count_words)
    assert 0 <= low <= start <= end <= high <= len(text)
    if (low, high) != (start, end):
        assert count_words(text[low:high]) <= 12
