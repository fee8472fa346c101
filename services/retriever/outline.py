"""Where a document's sections, fenced code and tables are; one pass over its lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_HEADING_LINE = 1000
"""A longer line is no heading, whatever it begins with."""

LONGEST_HEADER = 200
"""How many characters of a table's header go with its later rows."""

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_CLOSING = re.compile(r"(?:(?<=[ \t])|^)#+$")
_UNDERLINE = re.compile(r"(={3,}|-{3,})")
_NOT_UNDERLINED = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]\s)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?")
_LONGEST_RULE = 2000


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below one heading, the heading included."""

    start: int
    end: int
    headings: tuple[str, ...]
    """From the document's uppermost to its own."""


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table."""

    body: int
    """Where its first row begins, below the header."""
    end: int
    header: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's structure, each list in reading order."""

    sections: list[Section]
    fences: list[tuple[int, int]]
    """Spans of fenced code."""
    tables: list[Table]
    breaks: list[tuple[int, int]]
    """Spans between a heading and what stands below it."""


def outline_of(text: str) -> Outline:
    """Find the structure of a text; one without headings is one section."""
    scan = _Scan(text)
    for start, line in _lines(text):
        scan.take(start, line)
    return scan.end()


class _Scan:
    """Reads lines one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = Outline([], [], [], [])
        self._path: list[tuple[int, str]] = []
        self._section = 0
        self._fence: tuple[str, int] | None = None
        self._table: tuple[int, str] | None = None
        self._behind_heading: int | None = None
        self._last: list[tuple[int, str]] = [(0, ""), (0, "")]

    def take(self, start: int, line: str) -> None:
        """Read the next line."""
        if self._behind_heading is not None and line.strip():
            self._found.breaks.append((self._behind_heading, start))
            self._behind_heading = None
        if not self._is_code(start, line):
            self._look_for_table(start, line)
            if (heading := _heading(line)) is not None:
                self._begin(start, start + len(line), *heading)
            elif (heading := self._underlined(line)) is not None:
                self._begin(self._last[1][0], start + len(line), *heading)
        self._last = [self._last[1], (start, line)]

    def end(self) -> Outline:
        """Close what is open."""
        self._close_table(len(self._text))
        self._close_section(len(self._text))
        return self._found

    def _is_code(self, start: int, line: str) -> bool:
        marker = _FENCE.match(line)
        if self._fence is None:
            if marker is not None:
                self._fence = (marker.group(1), start)
            return marker is not None
        opened, begun = self._fence
        if marker is not None and line.strip() == line.strip()[0] * len(line.strip()):
            closes = marker.group(1)
            if closes[0] == opened[0] and len(closes) >= len(opened):
                self._found.fences.append((begun, start + len(line)))
                self._fence = None
        return True

    def _look_for_table(self, start: int, line: str) -> None:
        above = self._last[1][1]
        if self._table is not None:
            if not line.startswith("|"):
                self._close_table(start)
        elif above.startswith("|") and len(line) <= _LONGEST_RULE and _RULE.fullmatch(line.strip()):
            self._table = (start + len(line) + 1, above.strip()[:LONGEST_HEADER])

    def _close_table(self, end: int) -> None:
        if self._table is not None and self._table[0] < end:
            self._found.tables.append(Table(self._table[0], end, self._table[1]))
        self._table = None

    def _underlined(self, line: str) -> tuple[int, str] | None:
        """Read a heading with a line of signs below it; its own line stands alone."""
        found = _UNDERLINE.fullmatch(line.strip())
        (_, before), (_, title) = self._last
        if found is None or before.strip() or not title.strip():
            return None
        if len(title) > LONGEST_HEADING_LINE or _NOT_UNDERLINED.match(title):
            return None
        return (1 if found.group(1)[0] == "=" else 2), title.strip()

    def _begin(self, start: int, end: int, level: int, title: str) -> None:
        self._close_section(start)
        self._path = [*(above for above in self._path if above[0] < level), (level, title)]
        self._section = start
        self._behind_heading = end

    def _close_section(self, end: int) -> None:
        if self._section < end:
            headings = tuple(title for _, title in self._path)
            self._found.sections.append(Section(self._section, end, headings))


def _heading(line: str) -> tuple[int, str] | None:
    found = _HEADING.fullmatch(line) if len(line) <= LONGEST_HEADING_LINE else None
    if found is None:
        return None
    title = _CLOSING.sub("", found.group(2).strip()).strip()
    return (len(found.group(1)), title) if title else None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start:end].rstrip("\r")
        start = end + 1
