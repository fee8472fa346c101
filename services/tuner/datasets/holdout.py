"""Which conversations of a training file are held out, so that the adapter is judged by them.

One in ten, at least 20 and at most 200, drawn by the seed among those whose question stands once in
the file, passages aside: a question that stands twice would be trained on all the same. A file of
fewer than 100 conversations is not split, because too few would be left on either side.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from services.domain.datasets.examples import QUESTION_LABEL, Example

SHARE = 0.1
"""Of the file's conversations."""

FEWEST, MOST = 20, 200
"""Bounds of how many are held out; with fewer than 20 cases nothing is ever adopted."""

SMALLEST_FILE = 100
"""A file of fewer conversations is not split."""


def held_out(
    examples: Sequence[Example],
    *,
    share: float | None,
    seed: int,
    label: str = QUESTION_LABEL,
) -> list[Example]:
    """Choose the conversations that are held out, in the order of the file.

    Args:
        share: of the conversations; by the rule when None, and none when 0.
        label: what a question stands behind where passages come before it.
    """
    wanted = _wanted(len(examples), share)
    asks = [example.asks(label) for example in examples]
    rows = Counter(question for questions in asks for question in set(questions))
    alone = [
        example
        for example, questions in zip(examples, asks, strict=True)
        if questions and questions[-1] and rows[questions[-1]] == 1
    ]
    return drawn(alone, most=wanted, seed=seed)


def drawn(examples: Sequence[Example], *, most: int, seed: int) -> list[Example]:
    """Draw so many examples at most, in the order of the file."""
    if len(examples) <= most:
        return list(examples)
    rng = random.Random(seed)  # noqa: S311  # a sample, not a secret
    return sorted(rng.sample(examples, most), key=lambda one: one.line)


def _wanted(rows: int, share: float | None) -> int:
    if share is not None:
        return min(round(share * rows), MOST)
    return 0 if rows < SMALLEST_FILE else min(max(FEWEST, round(SHARE * rows)), MOST)
