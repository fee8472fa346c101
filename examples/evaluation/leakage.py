"""Finds held-out questions and document sentences that training material repeats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WORDS = 8
"""So many words in a row in common are a leak (English and other spaced scripts)."""

LETTERS = 20
"""So many letters in a row in common are a leak, spaces left out (Korean)."""

_WORD = re.compile(r"\w+")


def shingles(text: str) -> Iterator[str]:
    """Give every run of a text that must not occur elsewhere: of words, or of Korean letters."""
    words = _WORD.findall(text.lower())
    if any("가" <= letter <= "힣" for letter in text):
        letters = "".join(words)
        yield from (letters[at : at + LETTERS] for at in range(len(letters) - LETTERS + 1))
    else:
        yield from (" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))


def leaks(held_out: Iterable[str], training: Iterable[str]) -> list[str]:
    """Return every held-out text that training repeats as a whole or by a long run."""
    seen: set[str] = set()
    wholes: set[str] = set()
    for text in training:
        seen.update(shingles(text))
        wholes.add(_bare(text))
    return [
        text for text in held_out if _bare(text) in wholes or any(s in seen for s in shingles(text))
    ]


def _bare(text: str) -> str:
    return "".join(_WORD.findall(text.lower()))
