"""Pictures of a ladder as SVG, in the colours of the page that they stand in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from services.contracts.ladder import LadderReport, RungFigures
from services.domain.ladder.wording import usd

LEFT, WIDTH, RIGHT, ROW = 190, 470, 120, 26
"""Pixels for names, for the scale, for figures, and from rung to rung."""

HEIGHT = 300
"""Pixels of a plane."""

LABEL, LETTER = 14, 7
"""Pixels of a label's line, and about of one of its letters."""

LEAST_REQUESTS = 10_000
"""The picture of volumes goes at least so far."""

_TICKS = 5


@dataclass(slots=True)
class _Labels:
    """Names beside points, none over another."""

    taken: list[tuple[float, float, float]] = field(default_factory=list)
    """Where each begins, its line, and where it ends."""

    def beside(self, x: float, y: float, text: str) -> str:
        """Write a name to the right of a point, above or below where others stand."""
        end = x + LETTER * len(text)
        for away in range(2 * len(self.taken) + 1):
            line = y + LABEL * ((away + 1) // 2) * (-1) ** away
            if line <= HEIGHT + 4 and not any(
                abs(line - other) < LABEL and x < right and left < end
                for left, other, right in self.taken
            ):
                break
        self.taken.append((x, line, end))
        return _text(x, round(line, 1), text)


def passed_plot(report: LadderReport) -> str:
    """Draw the share of cases passed, with its interval, rung by rung."""
    rows = []
    for place, one in enumerate(report.rungs):
        bounds, y = one.figures.pass_rate, _middle(place)
        rows.append(_line(_x(bounds.low), y, _x(bounds.high), y, _kind(report, one)))
        rows.append(_dot(_x(bounds.value), y, _kind(report, one)))
        rows.append(_text(LEFT + WIDTH + 12, y + 4, f"{bounds.value:.1%}"))
    enough = f'<line class="enough" x1="{_x(report.enough)}" y1="0" x2="{_x(report.enough)}" '
    enough += f'y2="{_bottom(report)}"/>'
    ticks = [(tick / _TICKS, f"{tick / _TICKS:.0%}") for tick in range(_TICKS + 1)]
    title = "Share of cases passed; the broken line is what is good enough"
    return _rung_plot(report, title, ticks, [enough, *rows])


def latency_plot(report: LadderReport) -> str:
    """Draw the median and the 95th percentile of whole answers, rung by rung."""
    most = max((one.p95_ms for one in report.rungs), default=0.0) or 1.0
    rows = []
    for place, one in enumerate(report.rungs):
        y, kind = _middle(place), _kind(report, one)
        rows.append(_line(_x(one.p50_ms / most), y, _x(one.p95_ms / most), y, kind))
        rows.append(_dot(_x(one.p50_ms / most), y, kind))
        rows.append(_text(LEFT + WIDTH + 12, y + 4, f"{one.p50_ms:,.0f} / {one.p95_ms:,.0f}"))
    ticks = [(tick / _TICKS, f"{most * tick / _TICKS:,.0f}") for tick in range(_TICKS + 1)]
    return _rung_plot(report, "Milliseconds of an answer: median to 95th percentile", ticks, rows)


def value_plot(report: LadderReport) -> str:
    """Draw what is passed against what it costs; against tokens where no price is known."""
    priced = [one for one in report.rungs if one.usd_per_100k is not None]
    if len(priced) == len(report.rungs):
        along, shown = [one.usd_per_100k or 0.0 for one in report.rungs], usd
        title = "Share passed against US dollars for 100,000 requests"
    else:
        figures = [one.figures for one in report.rungs]
        along = [one.prompt_tokens + one.completion_tokens for one in figures]
        shown = "{:,.0f}".format
        title = "Share passed against tokens of a request"
    most = max(along, default=0.0) * 1.05 or 1.0
    parts, labels = list(_plane(shown(most), "100%")), _Labels()
    for value, one in zip(along, report.rungs, strict=True):
        x, y = _x(value / most), _y(one.figures.pass_rate.value)
        parts.append(_dot(x, y, _kind(report, one)))
        parts.append(labels.beside(x + 8, y + 4, one.name))
    return _svg(title, HEIGHT + 30, parts)


def volume_plot(report: LadderReport) -> str:
    """Draw what each rung has cost in all after so many requests; nothing without prices."""
    shown = [one for one in report.rungs if one.usd_per_100k is not None]
    turning = [one.break_even_requests for one in shown if one.break_even_requests]
    if not turning:
        return ""
    requests = 10 ** math.ceil(math.log10(max(*turning, LEAST_REQUESTS)))
    ends = [(_spent(one, 0), _spent(one, requests)) for one in shown]
    most = max(end for _, end in ends) or 1.0
    parts, labels = list(_plane(f"{requests:,} requests", usd(most))), _Labels()
    for one, (start, end) in zip(shown, ends, strict=True):
        kind = _kind(report, one)
        parts.append(_line(LEFT, _y(start / most), LEFT + WIDTH, _y(end / most), kind))
        parts.append(labels.beside(LEFT + WIDTH + 6, _y(end / most) + 4, one.name))
    return _svg("US dollars in all, what is spent once included", HEIGHT + 30, parts)


def _spent(one: RungFigures, requests: int) -> float:
    once = (one.training.usd or 0.0) if one.training else 0.0
    return once + (one.usd_per_100k or 0.0) * requests / 100_000


def _rung_plot(
    report: LadderReport, title: str, ticks: Sequence[tuple[float, str]], rows: Sequence[str]
) -> str:
    bottom = _bottom(report)
    parts = []
    for share, label in ticks:
        parts.append(_line(_x(share), 0, _x(share), bottom, "grid"))
        parts.append(_text(_x(share), bottom + 16, label, anchor="middle"))
    for place, one in enumerate(report.rungs):
        parts.append(_text(LEFT - 12, _middle(place) + 4, one.name, anchor="end"))
    return _svg(title, bottom + 24, [*parts, *rows])


def _plane(right: str, top: str) -> Iterator[str]:
    yield _line(LEFT, HEIGHT, LEFT + WIDTH, HEIGHT, "grid")
    yield _line(LEFT, 0, LEFT, HEIGHT, "grid")
    yield _text(LEFT, HEIGHT + 18, "0", anchor="middle")
    yield _text(LEFT + WIDTH, HEIGHT + 18, right, anchor="end")
    yield _text(LEFT - 8, 12, top, anchor="end")


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    width = LEFT + WIDTH + RIGHT
    head = f'<figure><figcaption>{escape(title)}</figcaption><svg role="img" '
    head += f'aria-label="{escape(title)}" viewBox="0 -8 {width} {height + 8}">'
    return "\n".join([head, *parts, "</svg></figure>"])


def _kind(report: LadderReport, one: RungFigures) -> str:
    if one.name == report.advice.rung:
        return "taken"
    return "hosted" if ":" in one.name else "rung"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="5"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _middle(place: int) -> int:
    return ROW * place + ROW // 2


def _bottom(report: LadderReport) -> int:
    return ROW * len(report.rungs)


def _x(share: float) -> float:
    return round(LEFT + WIDTH * min(max(share, 0.0), 1.0), 1)


def _y(share: float) -> float:
    return round(HEIGHT * (1 - min(max(share, 0.0), 1.0)), 1)
