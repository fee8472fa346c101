"""The losses of a training, step by step, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RESULTS_FILE, CURVE_FILE = "results.csv", "curve.svg"
"""The names of the table and of the picture."""

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 320, 56, 36
"""Of the picture in pixels, and what of it the two scales take."""

TRAINED, MEASURED = "#1f6feb", "#d9480f"
"""Colours of the two losses, told apart by colour-blind readers too."""

_TOP, _RIGHT, _LINES = 28, 16, 4

Points = Mapping[int, float]
"""A loss by step."""


@dataclass(frozen=True, slots=True)
class History:
    """The losses by step."""

    trained: dict[int, float] = field(default_factory=dict)
    measured: dict[int, float] = field(default_factory=dict)
    """Of the rows that are only measured."""

    @classmethod
    def of(cls, log: Iterable[Mapping[str, Any]]) -> History:
        """Read the trainer's own log, which checkpoints carry over a kill."""
        found = cls()
        for entry in log:
            step = int(entry["step"])
            if "loss" in entry:
                found.trained[step] = float(entry["loss"])
            if "eval_loss" in entry:
                found.measured[step] = float(entry["eval_loss"])
        return found

    def table(self) -> str:
        """Write the losses as CSV; what was not measured at a step is left empty."""
        steps = sorted({*self.trained, *self.measured})
        rows = [f"{s},{_cell(self.trained, s)},{_cell(self.measured, s)}" for s in steps]
        return "\n".join(["step,train_loss,valid_loss", *rows, ""])

    def curve(self) -> str:
        """Draw the losses as an SVG picture."""
        return _drawn([("training", TRAINED, self.trained), ("held out", MEASURED, self.measured)])


def _cell(points: Points, step: int) -> str:
    return f"{points[step]:.6g}" if step in points else ""


def _drawn(lines: Sequence[tuple[str, str, Points]]) -> str:
    steps = [step for _, _, points in lines for step in points] or [1]
    losses = [loss for _, _, points in lines for loss in points.values()] or [1.0]
    last, most = max(steps), max(losses) or 1.0

    def place(step: float, loss: float) -> str:
        x = LEFT + (WIDTH - LEFT - _RIGHT) * step / last
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - _TOP) * loss / most
        return f"{x:.1f},{y:.1f}"

    frame = f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} font-family="sans-serif" font-size="12">',
        f'<rect {frame} fill="white"/>',
    ]
    for line in range(_LINES + 1):
        loss, step = most * line / _LINES, last * line / _LINES
        (x, y), (across, _) = place(0, loss).split(","), place(step, 0).split(",")
        parts += [
            f'<line x1="{x}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{loss:.3g}</text>',
            f'<text x="{across}" y="{HEIGHT - 12}" text-anchor="middle">{step:.0f}</text>',
        ]
    for number, (name, colour, points) in enumerate(lines):
        if not points:
            continue
        path = " ".join(place(step, points[step]) for step in sorted(points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) == 1:
            x, y = path.split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
        x = str(LEFT + 90 * number)
        parts.append(f'<text x="{x}" y="16" fill="{colour}">{name} loss</text>')
    return "\n".join([*parts, "</svg>", ""])
