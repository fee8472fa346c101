"""Means with their intervals as an SVG picture: one row a measure, one mark a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from services.domain.statistics import Estimate

LEFT, WIDTH, RIGHT = 190, 420, 90
"""Pixels for names, for the scale from 0 to 1, and for figures."""

ROW, MARK = 20, 4
"""Pixels between two marks, and a mark's radius."""

COLOURS = ("#1f6feb", "#d9480f")
"""Of the first run and the second, told apart by colour-blind readers too."""


def plot(runs: Sequence[tuple[str, Mapping[str, Estimate]]]) -> str:
    """Draw one or two runs over the same measures."""
    measures = list(runs[0][1])
    band = ROW * len(runs) + ROW // 2
    # Names stand below each other: a setup's name may be as wide as the picture.
    below_names = ROW * len(runs) + ROW // 2
    height = below_names + band * len(measures) + 24
    width = LEFT + WIDTH + RIGHT
    frame = f'width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} font-family="sans-serif" font-size="12">',
        f'<rect {frame} fill="white"/>',
    ]
    for place, (name, _) in enumerate(runs):
        y = ROW * place + 14
        parts.append(f'<circle cx="{LEFT}" cy="{y}" r="{MARK}" fill="{COLOURS[place]}"/>')
        parts.append(f'<text x="{LEFT + 10}" y="{y + 4}">{escape(name)}</text>')
    parts += _scale(below_names, height)
    for row, measure in enumerate(measures):
        top = below_names + band * row
        middle = top + (band - ROW // 2) // 2 + 4
        parts.append(
            f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(measure)}</text>'
        )
        for place, (_, estimates) in enumerate(runs):
            y = top + ROW * place + ROW // 2
            parts += _interval(estimates[measure], y, COLOURS[place])
    return "\n".join([*parts, "</svg>\n"])


def _scale(top: int, height: int) -> list[str]:
    lines = []
    for tenth in range(0, 11, 2):
        x, bottom = _x(tenth / 10), height - 20
        lines.append(f'<line x1="{x}" y1="{top - 6}" x2="{x}" y2="{bottom}" stroke="#ddd"/>')
        label = f'<text x="{x}" y="{height - 6}" text-anchor="middle">{tenth / 10:g}</text>'
        lines.append(label)
    return lines


def _interval(found: Estimate, y: int, colour: str) -> list[str]:
    low, high, mean = _x(found.low), _x(found.high), _x(found.mean)
    return [
        f'<line x1="{low}" y1="{y}" x2="{high}" y2="{y}" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{mean}" cy="{y}" r="{MARK}" fill="{colour}"/>',
        f'<text x="{LEFT + WIDTH + 12}" y="{y + 4}" fill="{colour}">{found.mean:.3f}</text>',
    ]


def _x(value: float) -> float:
    return round(LEFT + WIDTH * min(max(value, 0.0), 1.0), 1)
