"""A small lexical search over the sample corpus: scoring adapters needs no running service."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"
"""The sample documents."""

_WORD = re.compile(r"[가-힣]+|[a-z0-9.]+")
_SATURATION, _LENGTH_WEIGHT = 1.2, 0.5


@dataclass(frozen=True, slots=True)
class Chunk:
    """One section of a document."""

    document: str
    title: str
    text: str


def read_chunks(folder: Path = CORPUS) -> list[Chunk]:
    """Cut every document at its second-level headings."""
    chunks: list[Chunk] = []
    for path in sorted(folder.glob("*.md")):
        text = path.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
        chunks.extend(Chunk(path.name, title, part.strip()) for part in sections)
    return chunks


class LexicalIndex:
    """BM25 over words and, for Hangul, pairs of syllables."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._terms = [Counter(_terms(f"{chunk.title}\n{chunk.text}")) for chunk in chunks]
        self._mean = sum(terms.total() for terms in self._terms) / len(chunks)
        self._seen = Counter(term for terms in self._terms for term in terms)

    def best(self, question: str, count: int) -> list[Chunk]:
        """Return the chunks that share most with the question, best first."""
        asked = set(_terms(question))
        places = sorted(range(len(self._chunks)), key=lambda at: -self._score(asked, at))
        return [self._chunks[at] for at in places[:count]]

    def _score(self, asked: set[str], at: int) -> float:
        terms = self._terms[at]
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * terms.total() / self._mean
        score = 0.0
        for term in asked & terms.keys():
            rarity = math.log(1 + len(self._chunks) / self._seen[term])
            found = terms[term]
            score += rarity * found * (_SATURATION + 1) / (found + _SATURATION * length)
        return score


def _terms(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.lower()):
        if "가" <= word[0] <= "힣" and len(word) > 1:
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield word.rstrip(".").removesuffix("s")
