"""Documents to chunks: by headings, then paragraphs and sentences, with exact character spans."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from semantic_text_splitter import TextSplitter

MERGE_BELOW_TOKENS = 24
"""A section shorter than this joins the next one, so that no chunk is a bare heading."""

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text` is exactly `document[start:end]`."""

    number: int
    start: int
    end: int
    text: str
    headings: tuple[str, ...]
    page: int | None


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page of a paged document begins in its text."""

    page: int
    start: int


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    headings: tuple[str, ...]


class Chunker:
    """Cuts texts by the tokens of the embedding model."""

    def __init__(
        self, count_tokens: Callable[[str], int], *, chunk_tokens: int, overlap_tokens: int
    ) -> None:
        self._count_tokens = count_tokens
        # The splitter could count by itself, but with a copy of the tokeniser: 280 MB for 250,000
        # pieces.
        self._splitter = TextSplitter.from_callback(
            count_tokens, chunk_tokens, overlap=min(overlap_tokens, chunk_tokens - 1)
        )

    def chunks(self, text: str, pages: Sequence[PageStart] = ()) -> list[Chunk]:
        """Cut one document; the chunks are in reading order and may overlap within a section."""
        found: list[Chunk] = []
        for section in self._merged(text, _sections(text)):
            for offset, piece in self._splitter.chunk_indices(text[section.start : section.end]):
                start = section.start + offset
                end = start + len(piece)
                page = _page(pages, start, end)
                found.append(Chunk(len(found), start, end, piece, section.headings, page))
        return found

    def _merged(self, text: str, sections: Iterator[_Section]) -> Iterator[_Section]:
        """Join sections that are too short to stand alone with the ones that follow them."""
        held: _Section | None = None
        for section in sections:
            joined = section if held is None else _join(held, section)
            if self._is_short(text[joined.start : joined.end]):
                held = joined
            else:
                yield joined
                held = None
        if held is not None:
            yield held

    def _is_short(self, text: str) -> bool:
        sample = text[: MERGE_BELOW_TOKENS * 16]
        return self._count_tokens(sample) < MERGE_BELOW_TOKENS


def _page(pages: Sequence[PageStart], start: int, end: int) -> int | None:
    """Name the page that most of a chunk stands on."""
    first = max(bisect_right(pages, start, key=_start_of) - 1, 0)
    last = bisect_left(pages, end, key=_start_of)
    best, most = None, 0
    for at in range(first, last):
        until = pages[at + 1].start if at + 1 < len(pages) else end
        shared = min(end, until) - max(start, pages[at].start)
        if shared > most:
            best, most = pages[at].page, shared
    return best


def _start_of(page: PageStart) -> int:
    return page.start


def _join(first: _Section, second: _Section) -> _Section:
    headings = second.headings if len(second.headings) > len(first.headings) else first.headings
    return _Section(first.start, second.end, headings)


def _sections(text: str) -> Iterator[_Section]:
    """Split at Markdown headings outside of fenced code; a section begins with its heading."""
    path: list[tuple[int, str]] = []
    start, headings, fence = 0, (), None  # type: int, tuple[str, ...], str | None
    for line_start, line in _lines(text):
        if marker := _FENCE.match(line):
            fence = _after_fence(fence, marker.group(1))
            continue
        heading = None if fence else _HEADING.match(line)
        if heading is None:
            continue
        if line_start > start:
            yield _Section(start, line_start, headings)
        level = len(heading.group(1))
        path = [*(parent for parent in path if parent[0] < level), (level, heading.group(2))]
        start, headings = line_start, tuple(title for _, title in path)
    if start < len(text):
        yield _Section(start, len(text), headings)


def _after_fence(fence: str | None, marker: str) -> str | None:
    if fence is None:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence)
    return None if closes else fence


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start:end].rstrip("\r")
        start = end + 1
