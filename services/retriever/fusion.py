"""Two rankings to one: reciprocal rank fusion with weights, alike for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """What each ranking counts."""

    dense: float = 1.0
    lexical: float = 0.7
    rrf_k: float = 60.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its fused score and its similarity."""

    id: str
    score: float
    similarity: float


Scored = tuple[str, float]
"""A point's id and the score that one ranking gave it."""


def fuse(rankings: Iterable[tuple[float, Sequence[Scored]]], rrf_k: float) -> dict[str, float]:
    """Sum `weight / (k + rank)` over the rankings; ranks count from 1."""
    fused: dict[str, float] = {}
    for weight, ranking in rankings:
        for rank, (point, _) in enumerate(ranking, start=1):
            fused[point] = fused.get(point, 0.0) + weight / (rrf_k + rank)
    return fused


def rank(
    dense: Sequence[Scored],
    lexical: Sequence[Scored],
    similarities: Mapping[str, float],
    *,
    weights: Weights,
    min_similarity: float | None,
    limit: int,
) -> list[Ranked]:
    """Fuse both rankings, drop what is not similar enough, keep the best.

    Ties are broken by similarity and then by id, so that every engine gives the same order.

    Args:
        lexical: points without a common word, which some engines list with a score of zero, do
            not count.
        similarities: the cosine similarity of every candidate of either ranking; one that has
            none was deleted meanwhile.
    """
    words = [scored for scored in lexical if scored[1] > 0]
    fused = fuse([(weights.dense, dense), (weights.lexical, words)], weights.rrf_k)
    candidates = [
        Ranked(point, score, similarities[point])
        for point, score in fused.items()
        if point in similarities
        and (min_similarity is None or similarities[point] >= min_similarity)
    ]
    candidates.sort(key=lambda found: (-found.score, -found.similarity, found.id))
    return candidates[:limit]
