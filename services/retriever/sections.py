"""The part of a section that surrounds a chunk, within a budget of tokens.

Small chunks are found more surely; an answer often needs the sentences around them. The section
runs from the heading above a chunk to the next heading below. When it is longer than the budget,
whole paragraphs are kept, nearest first, and then whole sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

CHARACTERS_A_TOKEN = 8
"""How far to look for each token of the budget: few tokens of real texts are longer."""

COUNTED_AT_ONCE = 256
"""Characters counted in one piece, because a tokeniser stops at what its model reads."""

LONGEST_MARKER = 16
"""Characters from a heading's line start to the first of its title, and some to spare."""

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_FENCE = re.compile(r"`{3,}|~{3,}")
_FENCE_INDENT = 3
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?。！？…])[\"'”’)\]]*\s+|\n")

Count = Callable[[str], int]


def surroundings(
    text: str, start: int, end: int, *, budget_tokens: int, count_tokens: Count
) -> tuple[int, int]:
    """Find the span of the surrounding section.

    Args:
        text: the whole document.
        start: the chunk's first character.
        end: one behind its last.
        budget_tokens: the most tokens of the span; a chunk that is longer is left as it is.
        count_tokens: of the embedding model.

    Returns:
        First character and one behind the last; the span holds the chunk, and is not widened by
        white space at its ends.
    """
    window = _section(text, start, end, budget_tokens * CHARACTERS_A_TOKEN)
    span = _Growing(text, start, end, budget_tokens, count_tokens)
    for border in (_PARAGRAPH, _SENTENCE):
        span.take_in(_cuts(text, border, *window))
    low, high = span.low, span.high
    while low < start and text[low].isspace():
        low += 1
    while high > end and text[high - 1].isspace():
        high -= 1
    return low, high


class _Growing:
    """A span that takes in what is next to it while the budget lasts."""

    def __init__(
        self, text: str, low: int, high: int, budget_tokens: int, count_tokens: Count
    ) -> None:
        self.low, self.high = low, high
        self._text = text
        self._count_tokens = count_tokens
        self._left = budget_tokens - self._count(low, high)

    def take_in(self, cuts: Sequence[int]) -> None:
        """Take in whole pieces, one below and one above in turn, as long as they fit."""
        below = [cut for cut in reversed(cuts) if cut > self.high]
        above = [cut for cut in cuts if cut < self.low]
        while below or above:
            if below and not self._grow(self.low, below.pop()):
                below.clear()
            if above and not self._grow(above.pop(), self.high):
                above.clear()

    def _grow(self, low: int, high: int) -> bool:
        cost = self._count(low, self.low) + self._count(self.high, high)
        if cost > self._left:
            return False
        self.low, self.high = low, high
        self._left -= cost
        return True

    def _count(self, low: int, high: int) -> int:
        return sum(
            self._count_tokens(self._text[at : min(at + COUNTED_AT_ONCE, high)])
            for at in range(low, high, COUNTED_AT_ONCE)
        )


def _section(text: str, start: int, end: int, reach: int) -> tuple[int, int]:
    """Find the section's borders, as far as they are within reach."""
    low, high = max(start - reach, 0), min(end + reach, len(text))
    # The heading on the chunk's own first line is where its section begins.
    until = min(text.rfind("\n", 0, start) + 1 + LONGEST_MARKER, len(text))
    code = _fences(text, high)
    first = max((at for at in _headings(text, low, until, code) if at <= start), default=low)
    return first, next(_headings(text, end, high, code), high)


def _headings(text: str, low: int, high: int, code: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Find where headings begin; a `#` in code begins none."""
    for found in _HEADING.finditer(text, low, high):
        at = found.start()
        if not any(begun <= at < ended for begun, ended in code):
            yield at


def _fences(text: str, until: int) -> list[tuple[int, int]]:
    """Find fenced code; one that is not closed reaches to the end."""
    spans: list[tuple[int, int]] = []
    opened: tuple[str, int] | None = None
    for found in _FENCE.finditer(text, 0, until):
        line = text.rfind("\n", 0, found.start()) + 1
        if found.start() - line > _FENCE_INDENT or text[line : found.start()].strip(" "):
            continue
        if opened is None:
            opened = found.group(), line
        elif found.group().startswith(opened[0]) and not _rest_of_line(text, found.end()):
            spans.append((opened[1], found.end()))
            opened = None
    return [*spans, (opened[1], until)] if opened else spans


def _rest_of_line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[at : end if end >= 0 else len(text)].strip()


def _cuts(text: str, border: re.Pattern[str], low: int, high: int) -> list[int]:
    """List where pieces of a window begin or end; a window's end amid a line is no border."""
    cuts = [found.end() for found in border.finditer(text, low, high)]
    ends = [at for at in (low, high) if at in (0, len(text)) or text[at - 1] == "\n"]
    return sorted({*cuts, *ends})
