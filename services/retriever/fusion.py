"""Two rankings to one, alike for every engine.

Similarities are spread over the candidates that are nearest by meaning, from 0 for the last to 1
for the first; word scores are divided by the best. The weighted mean of the two keeps how far
candidates lie apart, which ranks alone would lose. Measured by `benchmarks/retrieval_quality.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DIGITS = 5
"""Digits of a score that count: engines compute with different precision."""

LEAST_SPREAD = 1e-4
"""Similarities closer together than this are taken for equal."""

Scored = tuple[str, float]
"""A point's id and the score that one ranking gave it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each ranking counts."""

    dense: float = 1.0
    lexical: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidates:
    """What two rankings found."""

    nearest: Sequence[Scored]
    """The ranking by meaning."""
    similarities: Mapping[str, float]
    """Of every candidate of either ranking; one that has none was deleted meanwhile."""
    words: Mapping[str, float]
    """Word scores of the candidates of either ranking that share a word with the question."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its fused score and its similarity."""

    id: str
    score: float
    similarity: float


def rank(
    candidates: Candidates, weights: Weights, *, min_similarity: float | None, limit: int
) -> list[Ranked]:
    """Fuse both rankings, drop what is not similar enough, keep the best, best first.

    Ties are broken by similarity and then by id, so that every engine gives the same order.
    """
    lowest, span = _spread([similarity for _, similarity in candidates.nearest])
    best = max(candidates.words.values(), default=0.0)
    dense = weights.dense if candidates.nearest else 0.0
    lexical = weights.lexical if best > 0 else 0.0
    total = dense + lexical or 1.0

    def fused(point: str, similarity: float) -> float:
        near = dense * (similarity - lowest) / span if dense else 0.0
        told = lexical * candidates.words.get(point, 0.0) / best if lexical else 0.0
        return (near + told) / total

    ranked = [
        Ranked(point, fused(point, similarity), similarity)
        for point, similarity in candidates.similarities.items()
        if min_similarity is None or similarity >= min_similarity
    ]
    ranked.sort(key=lambda it: (-round(it.score, DIGITS), -round(it.similarity, DIGITS), it.id))
    return ranked[:limit]


def _spread(similarities: Sequence[float]) -> tuple[float, float]:
    """Find where the scale begins and how long it is; equals are all at its end."""
    if not similarities:
        return 0.0, 1.0
    lowest, highest = min(similarities), max(similarities)
    if highest - lowest < LEAST_SPREAD:
        return lowest - 1.0, 1.0
    return lowest, highest - lowest
