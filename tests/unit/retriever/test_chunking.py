"""Cutting documents into chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.chunking import Chunk, Chunker, PageStart
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
    assert all(char.isspace() for at, char in enumerate(text) if at not in covered)
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
