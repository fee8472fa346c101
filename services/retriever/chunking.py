"""Documents to chunks: by headings, then paragraphs and sentences, with exact character spans.

A heading stays with what stands below it, fenced code stays whole where it fits, and a chunk from
the middle of a table brings the table's header among its headings. The splitter knows none of that;
it is given the text with some line breaks turned to spaces, which moves no character.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from semantic_text_splitter import TextSplitter

from services.retriever.outline import Outline, Section, Table, outline_of

MERGE_BELOW_TOKENS = 24
"""A section or a chunk shorter than this joins its neighbour, so that none is a bare heading."""

WINDOW_CHARACTERS = 16_384
"""How much the splitter is given at once; its time grows with the square of a long word."""

_CHARACTERS_A_TOKEN = 16
"""No text is so long as this for each of its tokens, but for spaces."""

_LINE_BREAK = re.compile(r"[\r\n]")
_BORDER = re.compile(r"\n+|(?<=[.!?。！？…])\s+")
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"
_MOST_JOINED = 64

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text` is exactly `document[start:end]`."""

    number: int
    start: int
    end: int
    text: str
    headings: tuple[str, ...]
    """The headings above it, and last the header of a table that it continues."""
    page: int | None


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page of a paged document begins in its text."""

    page: int
    start: int


class Chunker:
    """Cuts texts by the tokens of the embedding model."""

    def __init__(
        self, count_tokens: Callable[[str], int], *, chunk_tokens: int, overlap_tokens: int
    ) -> None:
        self._count_tokens = count_tokens
        self._most = chunk_tokens
        self._least = min(MERGE_BELOW_TOKENS, chunk_tokens // 4)
        # The splitter could count by itself, but with a copy of the tokeniser: 280 MB for 250,000
        # pieces.
        self._splitter = TextSplitter.from_callback(
            count_tokens, chunk_tokens, overlap=min(overlap_tokens, chunk_tokens - 1)
        )

    def chunks(self, text: str, pages: Sequence[PageStart] = ()) -> list[Chunk]:
        """Cut one document; the chunks are in reading order and may overlap within a section."""
        outline = outline_of(text)
        found: list[Chunk] = []
        for section in self._merged(text, outline.sections):
            for start, end in self._spans(text, section, outline):
                headings = (*section.headings, *_continued(outline.tables, start))
                page = _page(pages, start, end)
                found.append(Chunk(len(found), start, end, text[start:end], headings, page))
        return found

    def _spans(self, text: str, section: Section, outline: Outline) -> list[Span]:
        spans: list[Span] = []
        for low, high in _windows(text, section.start, section.end):
            kept = [
                *_within(outline.breaks, low, high),
                *self._whole_fences(text, outline, low, high),
            ]
            pieces = self._pieces(_without_breaks(text, low, high, kept), low)
            if any(
                self._count_tokens(text[start:end]) > self._most for start, end in pieces if kept
            ):
                pieces = self._pieces(text[low:high], low)
            spans += pieces
        return self._without_orphans(text, spans, outline)

    def _pieces(self, text: str, low: int) -> list[Span]:
        indices = self._splitter.chunk_indices(text)
        return [(low + at, low + at + len(piece)) for at, piece in indices]

    def _whole_fences(self, text: str, outline: Outline, low: int, high: int) -> Iterator[Span]:
        """Find the fenced code that fits into one chunk."""
        for start, end in _within(outline.fences, low, high):
            is_near = end - start <= self._most * _CHARACTERS_A_TOKEN
            if is_near and self._count_tokens(text[start:end]) <= self._most:
                yield start, end

    def _without_orphans(self, text: str, spans: list[Span], outline: Outline) -> list[Span]:
        """Share out a piece that is too short to stand alone, and its neighbour, anew."""
        for at in range(len(spans)):
            if len(spans) > 1 and self._count_tokens(text[slice(*spans[at])]) < self._least:
                first = min(at, len(spans) - 2)
                pair = spans[first], spans[first + 1]
                spans[first : first + 2] = self._halves(text, *pair, outline)
        return spans

    def _halves(self, text: str, first: Span, second: Span, outline: Outline) -> list[Span]:
        start, end = first[0], second[1]
        borders = ((start + b.start(), start + b.end()) for b in _BORDER.finditer(text[start:end]))
        middle = (start + end) // 2
        for first_end, second_start in sorted(borders, key=lambda border: abs(border[1] - middle)):
            halves = [(start, first_end), (second_start, end)]
            in_code = _is_inside(outline.fences, second_start)
            if not in_code and all(self._fits(text, half) for half in halves):
                return halves
        return [first, second]

    def _fits(self, text: str, span: Span) -> bool:
        return self._least <= self._count_tokens(text[slice(*span)]) <= self._most

    def _merged(self, text: str, sections: Sequence[Section]) -> Iterator[Section]:
        """Join sections that are too short to stand alone with the ones that follow them, and the
        document's last with the one before.
        """
        held: Section | None = None
        ready: Section | None = None
        for section in sections:
            joined = section if held is None else _join(held, section)
            if self._is_short(text[joined.start : joined.end]):
                held = joined
                continue
            if ready is not None:
                yield ready
            ready, held = joined, None
        if ready is not None and held is not None:
            ready, held = Section(ready.start, held.end, ready.headings), None
        yield from filter(None, (ready, held))

    def _is_short(self, text: str) -> bool:
        sample = text[: MERGE_BELOW_TOKENS * _CHARACTERS_A_TOKEN]
        return self._count_tokens(sample) < MERGE_BELOW_TOKENS


def _join(first: Section, second: Section) -> Section:
    """Join neighbours; their headings are those of both, or of the one that stands in the other."""
    shared = 0
    for one, other in zip(first.headings, second.headings, strict=False):
        if one != other:
            break
        shared += 1
    nested = shared in (len(first.headings), len(second.headings))
    longer = max(first.headings, second.headings, key=len)
    return Section(first.start, second.end, longer if nested else first.headings[:shared])


def _continued(tables: Sequence[Table], start: int) -> tuple[str, ...]:
    """Give the header of the table in whose later rows a chunk begins."""
    at = bisect_right(tables, start, key=lambda table: table.body) - 1
    is_inside = at >= 0 and start < tables[at].end
    return (tables[at].header,) if is_inside else ()


def _within(spans: Sequence[Span], low: int, high: int) -> Iterator[Span]:
    at = bisect_left(spans, (low, low))
    while at < len(spans) and spans[at][1] <= high:
        yield spans[at]
        at += 1


def _is_inside(spans: Sequence[Span], place: int) -> bool:
    at = bisect_left(spans, (place, place)) - 1
    return at >= 0 and place < spans[at][1]


def _without_breaks(text: str, low: int, high: int, spans: Sequence[Span]) -> str:
    """Turn the line breaks inside some spans to spaces."""
    parts: list[str] = []
    at = low
    for start, end in sorted(spans):
        parts += (text[at:start], _LINE_BREAK.sub(" ", text[start:end]))
        at = end
    return "".join((*parts, text[at:high]))


def _windows(text: str, start: int, end: int) -> Iterator[Span]:
    """Cut what is too long for the splitter at the best place in the second half of a window."""
    while end - start > WINDOW_CHARACTERS:
        least, most = start + WINDOW_CHARACTERS // 2, start + WINDOW_CHARACTERS
        cut = -1
        for border in ("\n\n", "\n", ". ", " "):
            cut = text.rfind(border, least, most)
            if cut >= 0:
                break
        cut = _between_characters(text, most) if cut < 0 else cut + 1
        yield start, cut
        start = cut
    yield start, end


def _between_characters(text: str, at: int) -> int:
    """Step back from the middle of what is written as several characters and read as one."""
    for back in range(min(_MOST_JOINED, at - 1)):
        if not _joined(text[at - back - 1], text[at - back]):
            return at - back
    return at


def _joined(before: str, after: str) -> bool:
    return (
        unicodedata.category(after)[0] == "M"
        or after in _JOINERS
        or before == "\u200d"
        or "\u1160" <= after <= "\u11ff"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or ("\U0001f1e6" <= after <= "\U0001f1ff" and "\U0001f1e6" <= before <= "\U0001f1ff")
        or before + after == "\r\n"
    )


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
