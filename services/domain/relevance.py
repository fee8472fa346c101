"""How well a ranking answers a question, given the documents that are right.

Relevance is yes or no. `found` is a ranking of ids without repeats, best first; `relevant` is not
empty. Discounted gain as in Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR
Techniques", ACM TOIS 20 (2002): the document on place n counts 1 / log2(n + 1).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def recall(found: Sequence[str], relevant: Collection[str], depth: int) -> float:
    """Tell the share of the right documents that are among the first `depth`, 0 to 1."""
    return len(set(found[:depth]) & set(relevant)) / len(relevant)


def ndcg(found: Sequence[str], relevant: Collection[str], depth: int) -> float:
    """Tell the discounted gain of the first `depth` as a share of the best possible, 0 to 1."""
    gained = sum(_gain(place) for place, name in enumerate(found[:depth]) if name in relevant)
    return gained / sum(_gain(place) for place in range(min(depth, len(relevant))))


def reciprocal_rank(found: Sequence[str], relevant: Collection[str]) -> float:
    """Tell one over the place of the first right document; 0 when there is none."""
    return next((1 / (place + 1) for place, name in enumerate(found) if name in relevant), 0.0)


def _gain(place: int) -> float:
    return 1 / math.log2(place + 2)


def discrimination(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Tell how often a value of `right` is above one of `wrong`: the area under the ROC curve.

    Ties count half. 0.5 is chance, 1 is perfect.

    Raises:
        ValueError: one of the two is empty.
    """
    if not right or not wrong:
        raise ValueError("there is nothing to tell apart")
    ordered = sorted([(value, True) for value in right] + [(value, False) for value in wrong])
    wins, below, at = 0.0, 0, 0
    while at < len(ordered):
        until = at
        while until < len(ordered) and ordered[until][0] == ordered[at][0]:
            until += 1
        hits = sum(is_right for _, is_right in ordered[at:until])
        misses = until - at - hits
        wins += hits * (below + misses / 2)
        below += misses
        at = until
    return wins / (len(right) * len(wrong))
