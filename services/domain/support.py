"""How much of what an answer says stands in what it cites, told by words.

Words in place of entailment: a negation is not seen, and neither is a right answer in words of its
own. It is cheap enough to be taken of every answer, and the same for all of them, so that what it
misses cancels out where two releases are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.domain.citations import find_markers
from services.domain.evaluation.texts import numbers, sentences, without_markers
from services.domain.korean_endings import stem

HELD_SHARE = 0.7
"""The share of a claim's pieces that must stand in the text; a choice, not a finding."""

_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[가-힣]+|[\u3040-\u30ff\u4e00-\u9fff]|[^\W0-9_가-힣]+")

# fmt: off
_FUNCTION_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "does", "for",
    "from", "has", "have", "if", "in", "into", "is", "it", "its", "may", "not", "of", "on",
    "or", "so", "such", "that", "the", "their", "then", "there", "these", "they", "this",
    "to", "was", "were", "will", "with", "you", "your",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Words:
    """What a text is compared by: words, in Korean pairs of their stems' syllables, and numbers."""

    pieces: frozenset[str]
    numbers: frozenset[float]

    def __or__(self, other: Words) -> Words:
        return Words(self.pieces | other.pieces, self.numbers | other.numbers)

    def share_in(self, given: Words) -> float:
        """Tell which share of the pieces the given text has, 0 when it lacks one of the numbers."""
        if not self.numbers <= given.numbers:
            return 0.0
        return len(self.pieces & given.pieces) / len(self.pieces) if self.pieces else 1.0


@dataclass(frozen=True, slots=True)
class Support:
    """How well an answer is supported by what it cites."""

    of_answer: float
    """The average of its sentences that cite something: each one's share in all that it cites."""
    of_passages: Mapping[int, float]
    """By number, the share that the passage alone has of the sentence that it supports best."""


NOTHING = Words(frozenset(), frozenset())


def words_of(text: str) -> Words:
    """Reduce a text to what it is compared by."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    pieces = (piece for token in _TOKEN.findall(plain) for piece in _pieces(token))
    return Words(frozenset(pieces), frozenset(numbers(text)))


def _pieces(token: str) -> Iterator[str]:
    if "가" <= token[0] <= "힣":
        bare = stem(token)
        yield from (bare[at : at + 2] for at in range(max(len(bare) - 1, 1)))
    elif token not in _FUNCTION_WORDS:
        yield token


def held_in(text: str, claim: str) -> bool:
    """Tell whether a text has most of a claim's pieces, and all of its numbers."""
    return words_of(claim).share_in(words_of(text)) >= HELD_SHARE


def support(answer: str, passages: Mapping[int, str]) -> Support | None:
    """Compare the sentences of a checked answer with the passages that they cite.

    Args:
        passages: the texts of those that are cited, by their numbers.

    Returns:
        None when no sentence cites any of them.
    """
    given = {number: words_of(text) for number, text in passages.items()}
    shares: list[float] = []
    best: dict[int, float] = {}
    for sentence in sentences(answer):
        cited = {n for marker in find_markers(sentence) for n in marker.numbers if n in given}
        if not cited:
            continue
        claim, together = words_of(without_markers(sentence)), NOTHING
        for number in cited:
            together |= given[number]
            best[number] = max(best.get(number, 0.0), claim.share_in(given[number]))
        shares.append(claim.share_in(together))
    return Support(sum(shares) / len(shares), best) if shares else None
