"""The numbers that Word puts before paragraphs; the document holds only how to count them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from services.retriever.parsing.word_styles import W, value_of

_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_LARGEST_ROMAN = 3999
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_SYLLABLES = "가나다라마바사아자차카타파하"
_CONSONANTS = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    form: str
    text: str


class Numbering:
    """Counts each list as Word does: a paragraph begins the levels below it anew."""

    def __init__(self, *parts: ET.Element | None) -> None:
        trees = [part for part in parts if part is not None]
        kinds = {
            kind.get(f"{W}abstractNumId", ""): _levels(kind)
            for tree in trees
            for kind in tree.iter(f"{W}abstractNum")
        }
        self._kind_of = {
            found.get(f"{W}numId", ""): value_of(found.find(f"{W}abstractNumId"), "")
            for tree in trees
            for found in tree.iter(f"{W}num")
        }
        self._levels: Mapping[str, Mapping[int, _Level]] = kinds
        self._counts: dict[str, list[int | None]] = {}

    def label(self, list_id: str | None, depth: int) -> tuple[str, int]:
        """Count a paragraph; give what stands before it, empty if nothing, and its depth."""
        kind = self._kind_of.get(list_id or "", "")
        level = self._levels.get(kind, {}).get(depth)
        if level is None:
            return "", 0
        if level.form == "bullet":
            return "-", depth
        counts = self._counts.setdefault(kind, [None] * _LEVELS)
        former = counts[depth]
        counts[depth] = level.start if former is None else former + 1
        counts[depth + 1 :] = [None] * (_LEVELS - depth - 1)
        return self._written(kind, level, counts).strip(), depth

    def _written(self, kind: str, level: _Level, counts: Sequence[int | None]) -> str:
        def number(place: re.Match[str]) -> str:
            at = int(place.group(1)) - 1
            its = self._levels[kind].get(at, level)
            count = counts[at]
            return _FORMS.get(its.form, str)(its.start if count is None else count)

        return _PLACE.sub(number, level.text)


def _levels(kind: ET.Element) -> dict[int, _Level]:
    levels = {}
    for level in kind.iter(f"{W}lvl"):
        depth, start = level.get(f"{W}ilvl", ""), value_of(level.find(f"{W}start"), "1")
        if depth.isdigit() and int(depth) < _LEVELS:
            levels[int(depth)] = _Level(
                int(start) if start.isdigit() else 1,
                value_of(level.find(f"{W}numFmt"), "decimal"),
                value_of(level.find(f"{W}lvlText"), ""),
            )
    return levels


def _roman(number: int) -> str:
    if not 0 < number <= _LARGEST_ROMAN:
        return str(number)
    written = ""
    for worth, letters in _ROMAN:
        times, number = divmod(number, worth)
        written += letters * times
    return written


def _from(signs: str) -> Callable[[int], str]:
    def written(number: int) -> str:
        return signs[number - 1] if 0 < number <= len(signs) else str(number)

    return written


_FORMS: Mapping[str, Callable[[int], str]] = {
    "none": lambda _: "",
    "decimalZero": "{:02}".format,
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "lowerLetter": _from(_LATIN),
    "upperLetter": _from(_LATIN.upper()),
    "ganada": _from(_SYLLABLES),
    "chosung": _from(_CONSONANTS),
    "decimalEnclosedCircle": _from(_CIRCLED),
}
