"""The order in which rows are trained: like lengths together, so that padding costs little."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

POOL_BATCHES = 8
"""Rows are sorted by length within pools of so many batches; the batches are then shuffled."""


def training_order(lengths: Sequence[int], *, batch: int, epochs: float, seed: int) -> list[int]:
    """Return row numbers in training order, every epoch in an order of its own.

    A fraction of an epoch takes that share of the rows, rounded up.
    """
    rng = random.Random(seed)  # noqa: S311  # an order, not a secret
    wanted = math.ceil(len(lengths) * epochs)
    order: list[int] = []
    while len(order) < wanted:
        batches = list(_batches(lengths, batch, rng))
        # A short batch anywhere but at the end would shift the bounds of all that follow.
        full = [rows for rows in batches if len(rows) == batch]
        rng.shuffle(full)
        rest = [row for rows in batches if len(rows) < batch for row in rows]
        order.extend(row for rows in full for row in rows)
        order.extend(rest)
    return order[:wanted]


def _batches(lengths: Sequence[int], batch: int, rng: random.Random) -> Iterator[list[int]]:
    rows = list(range(len(lengths)))
    rng.shuffle(rows)
    pool = batch * POOL_BATCHES
    for start in range(0, len(rows), pool):
        near = sorted(rows[start : start + pool], key=lambda row: lengths[row])
        for at in range(0, len(near), batch):
            yield near[at : at + batch]
