"""Losses over the steps of a training as a picture of characters."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

COLUMNS, ROWS = 60, 10
"""Characters of the picture."""

TRAINED, MEASURED = "•", "○"
"""The marks of the training loss and of the loss of rows that are only measured."""


def plot(trained: Mapping[int, float], measured: Mapping[int, float]) -> str:
    """Draw the losses by step; of many steps in one column, their mean is drawn."""
    if not trained and not measured:
        return ""
    last = max([*trained, *measured])
    columns = [(mark, _by_column(of, last)) for mark, of in _marked(trained, measured)]
    most = max(loss for _, by_column in columns for loss in by_column.values()) or 1.0
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    for mark, by_column in columns:
        for column, loss in by_column.items():
            grid[_row(loss, most)][column] = mark
    lines = [f"{_scale(row, most):>8} ┤{''.join(cells).rstrip()}" for row, cells in enumerate(grid)]
    axis = f"{'':>8} └{'─' * COLUMNS}"
    steps = f"{'':>8}  1{last:>{COLUMNS - 1}}"
    legend = f"{'':>8}  {TRAINED} training loss" + (
        f"   {MEASURED} loss of held-out rows" if measured else ""
    )
    return "\n".join([*lines, axis, steps, legend])


def _marked(
    trained: Mapping[int, float], measured: Mapping[int, float]
) -> list[tuple[str, Mapping[int, float]]]:
    return [(mark, of) for mark, of in ((TRAINED, trained), (MEASURED, measured)) if of]


def _by_column(losses: Mapping[int, float], last: int) -> dict[int, float]:
    grouped: dict[int, list[float]] = {}
    for step, loss in losses.items():
        column = 0 if last == 1 else (step - 1) * (COLUMNS - 1) // (last - 1)
        grouped.setdefault(column, []).append(loss)
    return {column: fmean(each) for column, each in grouped.items()}


def _row(loss: float, most: float) -> int:
    """Find the row of a loss; the first one is the highest."""
    return ROWS - 1 - min(int(loss / most * ROWS), ROWS - 1)


def _scale(row: int, most: float) -> str:
    """Label the first, the middle and the last row with the loss at their upper edge."""
    if row == 0 or row == ROWS // 2:
        return f"{most * (ROWS - row) / ROWS:.3g}"
    return "0" if row == ROWS - 1 else ""
