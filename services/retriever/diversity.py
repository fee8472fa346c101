"""Passages that repeat others step back: maximal marginal relevance.

J. Carbonell and J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
and Producing Summaries", SIGIR 1998: one after another, the candidate is taken whose
`(1 - d) * relevance - d * likeness` is largest, likeness being that to the nearest one taken.
Embedding models crowd all cosines into a part of their range, so both measures are first spread
over the candidates from 0 to 1; `d` then means the same for every model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def diverse(
    relevances: Sequence[float],
    vectors: Sequence[Sequence[float]],
    *,
    diversity: float,
    limit: int,
) -> list[int]:
    """Choose up to `limit` candidates, in the order in which they are taken.

    Args:
        relevances: of each candidate, best first.
        vectors: the unit vector of each candidate, all of one length.
        diversity: 0 keeps the order of relevance, 1 looks at likeness only after the first.
    """
    if not relevances:
        return []
    worth = (1 - diversity) * _spread(np.asarray(relevances, dtype=np.float64))
    likeness = _likeness(np.asarray(vectors, dtype=np.float64))
    nearest = np.zeros(len(worth))
    taken: list[int] = []
    left = np.ones(len(worth), dtype=bool)
    while len(taken) < min(limit, len(worth)):
        # The rounding lets the better ranked candidate win what is a tie but for noise.
        values = np.where(left, np.round(worth - diversity * nearest, 9), -np.inf)
        best = int(np.argmax(values)) if taken else 0
        taken.append(best)
        left[best] = False
        nearest = np.maximum(nearest, likeness[best])
    return taken


def _likeness(vectors: Matrix) -> Matrix:
    cosines: Matrix = vectors @ vectors.T
    apart = ~np.eye(len(cosines), dtype=bool)
    if not apart.any():
        return np.zeros_like(cosines)
    low, high = cosines[apart].min(), cosines[apart].max()
    spread: Matrix = np.clip((cosines - low) / max(high - low, 1e-9), 0, 1)
    return spread


def _spread(values: Matrix) -> Matrix:
    span = values.max() - values.min()
    return np.ones_like(values) if span < 1e-9 else (values - values.min()) / span
