"""Cutting documents into chunks."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.chunking import WINDOW_CHARACTERS, Chunk, Chunker, PageStart
from services.retriever.indexing import CONTEXT_TOKENS, context_of, longest_chunk
from tests.fakes.hashing_embedder import count_words


def chunks(
    text: str, *, tokens: int = 30, overlap: int = 0, pages: tuple[PageStart, ...] = ()
) -> list[Chunk]:
    chunker = Chunker(count_words, chunk_tokens=tokens, overlap_tokens=overlap)
    return chunker.chunks(text, pages)


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{n}" for n in range(count))


PIECES = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="가나다라 마바.\n", max_size=60),
    st.sampled_from(
        ["# Heading\n", "## 제목 둘\n", "\n\n", "```\n# no heading\n```\n", "🙂🇰🇷", "\r\n"]
    ),
)


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 12), st.integers(0, 30))
def test_every_chunk_is_exactly_its_span_and_nothing_is_lost(
    text: str, tokens: int, overlap: int
) -> None:
    found = chunks(text, tokens=tokens, overlap=overlap)
    covered = set()
    for number, chunk in enumerate(found):
        assert chunk.number == number
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        covered |= set(range(chunk.start, chunk.end))
        assert count_words(chunk.text) <= tokens
    assert all(char.isspace() for at, char in enumerate(text) if at not in covered)
    for left, right in pairwise(found):
        shared = text[right.start : max(left.end, right.start)]
        assert count_words(shared) <= overlap
        assert left.end < right.end
    assert [chunk.start for chunk in found] == sorted(chunk.start for chunk in found)


def test_no_chunk_is_longer_than_allowed() -> None:
    found = chunks(words(500) + "\n\n" + ". ".join(words(9) for _ in range(40)), tokens=20)
    assert len(found) > 25
    assert all(count_words(chunk.text) <= 20 for chunk in found)


def test_neighbours_of_one_section_overlap_and_sections_do_not() -> None:
    sentences = " ".join(f"Sentence number {n} ends here." for n in range(30))
    found = chunks(f"# One\n\n{sentences}\n\n# Two\n\n{sentences}", tokens=30, overlap=12)
    overlapping = [left.end > right.start for left, right in pairwise(found)]
    border = next(n for n, chunk in enumerate(found) if chunk.headings == ("Two",))
    assert not overlapping[border - 1]
    assert any(overlapping[: border - 1])


def test_a_chunk_knows_the_headings_above_it() -> None:
    body = words(40)
    text = (
        f"intro {body}\n\n# A\n\n{body}\n\n## B ##\n\n{body}\n\n### C\n\n{body}\n\n## D\n\n{body}"
    )
    paths = dict.fromkeys(chunk.headings for chunk in chunks(text, tokens=60))
    assert list(paths) == [(), ("A",), ("A", "B"), ("A", "B", "C"), ("A", "D")]


def test_a_heading_begins_its_chunk() -> None:
    text = f"# 반품\n\n{words(30)}\n\n# 배송\n\n{words(30)}"
    assert [chunk.text.splitlines()[0] for chunk in chunks(text, tokens=60)] == ["# 반품", "# 배송"]


def test_a_hash_in_code_is_no_heading() -> None:
    text = (
        f"# Real\n\n```sh\n# comment\n~~~\n# still code\n```\n\n{words(30)}\n\n#hashtag {words(30)}"
    )
    assert {chunk.headings for chunk in chunks(text, tokens=100)} == {("Real",)}


def test_a_section_too_short_to_stand_alone_joins_the_next() -> None:
    text = f"# Guide\n\n## Returns\n\n{words(30)}"
    (chunk,) = chunks(text, tokens=60)
    assert chunk.text == text
    assert chunk.headings == ("Guide", "Returns")


def test_many_short_sections_become_few_chunks() -> None:
    text = "\n\n".join(f"# Question {n}\n\nShort answer {n}." for n in range(20))
    found = chunks(text, tokens=100)
    assert 1 < len(found) < 10


@pytest.mark.parametrize("text", ["", " \n\t ", "\n" * 50])
def test_a_text_without_words_has_no_chunks(text: str) -> None:
    assert chunks(text) == []


def test_a_chunk_over_two_pages_is_of_the_one_that_holds_most_of_it() -> None:
    for first, second, expected in ((5, 20, 2), (20, 5, 1)):
        text = f"{words(first)}\n\n{words(second)}"
        pages = (PageStart(1, 0), PageStart(2, len(words(first)) + 2))
        (chunk,) = chunks(text, tokens=60, pages=pages)
        assert chunk.page == expected


def test_a_chunk_knows_its_page() -> None:
    first, second, third = words(40, "a"), words(40, "b"), words(40, "c")
    text = f"{first}\n\n{second}\n\n{third}"
    pages = (
        PageStart(1, 0),
        PageStart(2, len(first) + 2),
        PageStart(5, len(first) + len(second) + 4),
    )
    for chunk in chunks(text, tokens=20, pages=pages):
        page = {"a": 1, "b": 2, "c": 5}[chunk.text[0]]
        assert chunk.page == page


def test_a_text_without_pages_has_none() -> None:
    assert {chunk.page for chunk in chunks(words(100))} == {None}


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_chunk_begins_inside_what_is_read_as_one_character(text: str) -> None:
    for chunk in chunks(text, tokens=3):
        if chunk.start:
            assert unicodedata.category(text[chunk.start])[0] != "M"
            assert text[chunk.start - 1 : chunk.start + 1] != "\r\n"


@pytest.mark.parametrize("unit", ["e\u0301\u0302", "👨‍👩‍👧‍👦", "🇰🇷", "각"])
def test_a_text_too_long_for_one_look_is_not_cut_in_the_middle_of_a_character(unit: str) -> None:
    found = chunks(unit * (3 * WINDOW_CHARACTERS // len(unit)), tokens=5000)
    assert len(found) > 2
    assert all(chunk.text.startswith(unit[0]) for chunk in found)
    if not unit.startswith("🇰"):
        assert all(len(chunk.text) % len(unit) == 0 for chunk in found)


class Characters:
    """Counts words, and the characters it was given to count."""

    def __init__(self) -> None:
        self.counted = 0

    def __call__(self, text: str) -> int:
        self.counted += len(text)
        return max(len(text) // 4, count_words(text))


@pytest.mark.parametrize(
    "unit", ["가", "e\u0301", "word ", "a,b\n", "# H\n\n", "```\nx\n\n```\n", "|a|b|\n"]
)
def test_the_work_grows_as_the_text_does(unit: str) -> None:
    counted = []
    for length in (4 * WINDOW_CHARACTERS, 8 * WINDOW_CHARACTERS):
        count = Characters()
        Chunker(count, chunk_tokens=200, overlap_tokens=32).chunks(unit * (length // len(unit)))
        counted.append(count.counted)
    assert counted[1] < 2.3 * counted[0]


def test_a_heading_stays_with_a_text_that_fills_its_chunk() -> None:
    sentences = " ".join(f"Sentence number {n} ends here." for n in range(5))
    found = chunks(f"# Returns\n\n## Shoes\n\n{sentences}", tokens=30)
    assert found[0].text.startswith("# Returns\n\n## Shoes\n\nSentence number 0")


def test_a_heading_that_nothing_follows_stays_with_what_is_above() -> None:
    (chunk,) = chunks(f"# A\n\n{words(30)}\n\n# B\n", tokens=60)
    assert chunk.text.endswith("# B")


def test_code_that_fits_is_kept_whole_with_its_empty_lines() -> None:
    code = "```python\n" + "\n\n".join(f"x{n} = {n}" for n in range(8)) + "\n```"
    found = chunks(f"{words(20)}\n\n{code}\n\n{words(20)}", tokens=45)
    assert sum(code in chunk.text for chunk in found) == 1


def test_code_that_does_not_fit_is_cut_and_none_of_it_lost() -> None:
    code = "```\n" + "\n\n".join(f"x{n} = {n}" for n in range(80)) + "\n```"
    found = chunks(code, tokens=30)
    assert all(count_words(chunk.text) <= 30 for chunk in found)
    assert all(any(f"x{n} = {n}" in chunk.text for chunk in found) for n in range(80))


def test_the_later_rows_of_a_table_bring_its_header() -> None:
    rows = "\n".join(f"| 품목{n} | {n},000원 |" for n in range(40))
    table = f"| 품목 | 값 |\n| --- | ---: |\n{rows}"
    found = chunks(f"# 가격\n\n{words(30)}\n\n{table}\n\n{words(90)}", tokens=60)
    inside = [
        chunk for chunk in found if chunk.text.startswith("| 품목") and "---" not in chunk.text
    ]
    assert len(inside) > 2
    assert {chunk.headings for chunk in inside} == {("가격", "| 품목 | 값 |")}
    assert found[-1].headings == ("가격",)


def test_lines_that_only_look_like_a_table_have_no_header() -> None:
    rows = "\n".join(f"| a{n} | b |" for n in range(40))
    assert {chunk.headings for chunk in chunks(f"# T\n\n{rows}", tokens=60)} == {("T",)}


def test_an_underlined_line_is_a_heading_and_a_rule_is_none() -> None:
    text = f"Title\n=====\n\n{words(30)}\n\nPart\n----\n\n{words(30)}\n\n---\n\n- item\n---\n"
    paths = dict.fromkeys(chunk.headings for chunk in chunks(text, tokens=200))
    assert list(paths) == [("Title",), ("Title", "Part")]


def test_short_sections_together_have_the_headings_of_all() -> None:
    text = "# Guide\n\n" + "\n\n".join(f"## Question {n}\n\nShort answer {n}." for n in range(9))
    assert {chunk.headings for chunk in chunks(text, tokens=200)} == {("Guide",)}


def test_a_short_piece_is_made_longer_at_its_neighbours_cost() -> None:
    items = "\n".join(f"- point number {n} of the list" for n in range(9))
    found = chunks(f"# A\n\nThe following apply:\n\n{items}\n\nEnd.", tokens=60)
    assert len(found) > 1
    assert all(count_words(chunk.text) >= 15 for chunk in found)


def test_what_the_model_reads_is_never_longer_than_it_can() -> None:
    title, deep = words(90, "title"), [f"{words(40, 'heading')} {n}" for n in range(6)]
    text = "\n\n".join(f"{'#' * (n + 1)} {heading}" for n, heading in enumerate(deep))
    text += f"\n\n{words(900)}"
    most = longest_chunk(8192, 256)
    assert most < 256 - CONTEXT_TOKENS
    for chunk in chunks(text, tokens=most):
        context = context_of(title, chunk, count_words)
        assert context.endswith(chunk.text)
        assert count_words(context) <= 256


def test_of_too_many_headings_the_nearest_are_kept() -> None:
    chunk = Chunk(0, 0, 4, "text", (words(60, "a"), words(60, "b"), "nearest"), None)
    above = context_of("title", chunk, count_words).splitlines()
    assert (above[0], above[-2:]) == ("title", ["nearest", "text"])


def test_a_wish_for_shorter_chunks_is_granted() -> None:
    assert longest_chunk(200, 512) == 200
