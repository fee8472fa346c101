"""Citation markers `[n]`: which passages an answer points to, and which markers are invalid.

A marker is valid when its number was given to a passage in the prompt. Whether the passage supports
the sentence is a separate question, answered by evaluation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MARKER = re.compile(r"\s?\[(?=[0-9,\s]{1,32}\])([0-9]{1,3}(?:\s*,\s*[0-9]{1,3})*)\]")
_UNFINISHED = re.compile(r"\s?(?:\[[0-9,\s]{0,32})?\Z")


@dataclass(slots=True)
class CitationFilter:
    """Removes invalid markers from a stream of text, holding back only an unfinished marker.

    Text goes in by `push` in any pieces; the same text comes out whatever the pieces were.
    """

    passages: int
    """How many passages stood in the prompt; markers 1 to this number are valid."""
    invalid: int = 0
    """How many invalid numbers were removed so far."""
    _cited: dict[int, None] = field(default_factory=dict)
    _held: str = ""

    @property
    def cited(self) -> list[int]:
        """The valid numbers seen so far, in order of first use."""
        return list(self._cited)

    def push(self, text: str) -> str:
        """Take more text and return what can be shown."""
        if not self._held and "[" not in text and not text[-1:].isspace():
            return text
        pending = self._held + text
        unfinished = _UNFINISHED.search(pending)
        cut = unfinished.start() if unfinished else len(pending)
        self._held = pending[cut:]
        return _MARKER.sub(self._checked, pending[:cut])

    def close(self) -> str:
        """Return what was held back when the stream ended inside a marker."""
        held, self._held = self._held, ""
        return _MARKER.sub(self._checked, held)

    def _checked(self, match: re.Match[str]) -> str:
        numbers = [int(number) for number in match[1].split(",")]
        valid = [number for number in numbers if 1 <= number <= self.passages]
        self.invalid += len(numbers) - len(valid)
        self._cited.update(dict.fromkeys(valid))
        if len(valid) == len(numbers):
            return match[0]
        lead = match[0][: match[0].index("[")]
        return lead + "[" + ", ".join(map(str, valid)) + "]" if valid else ""


def check_citations(text: str, passages: int) -> tuple[str, list[int], int]:
    """Check a whole answer: the cleaned text, the valid numbers in order, the count of invalid."""
    filter_ = CitationFilter(passages)
    cleaned = filter_.push(text) + filter_.close()
    return cleaned, filter_.cited, filter_.invalid


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker and where it stands in the text."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find_markers(text: str) -> list[Marker]:
    """Find the markers of a checked text, in order."""
    return [
        Marker(match.start(1) - 1, match.end(), tuple(map(int, match[1].split(","))))
        for match in _MARKER.finditer(text)
    ]
