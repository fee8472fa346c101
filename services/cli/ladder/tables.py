"""The figures of a ladder as rows of text, for the terminal, Markdown and HTML alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from services.cli.answer_report import judged_by
from services.contracts.evaluations import Bounds, Judges
from services.contracts.ladder import LadderReport, RungComparison, RungFigures
from services.domain.ladder.wording import usd

HEADINGS = (
    "rung",
    "passed",
    "beside the rung below",
    "beside the first",
    "says the same again",
    "ms, median / 95 %",
    "prompt tokens (cached)",
    "answer tokens",
    "per 100,000 requests",
    "once",
    "cheaper from",
    "failed",
)
"""Of the whole table."""

COMPARED = ("rung", "gained", "lost", "difference", "p")
"""Of the advised rung beside each other one."""


def rows_of(report: LadderReport) -> list[list[str]]:
    """Write every figure of every rung."""
    return [_whole(one) for one in report.rungs]


def parts_of(report: LadderReport) -> tuple[list[str], list[list[str]]]:
    """Write the mean score of each check and the share passed of each tag, with the headings."""
    kinds = sorted({name for one in report.rungs for name in one.figures.measures})
    tags = sorted({tag for one in report.rungs for tag in one.figures.by_tag})
    rows = [
        [
            one.name,
            *(_bounds(one.figures.measures.get(kind)) for kind in kinds),
            *(_bounds(one.figures.by_tag.get(tag)) for tag in tags),
        ]
        for one in report.rungs
    ]
    return ["rung", *kinds, *(f"passed, {tag}" for tag in tags)], rows


def compared_of(report: LadderReport) -> list[list[str]]:
    """Set the advised rung beside each other one."""
    return [
        [one.name, str(pairs.gained), str(pairs.lost), _difference(one.advised), f"{pairs.p:.2g}"]
        for one in report.rungs
        if one.advised is not None and (pairs := one.advised.pairs)
    ]


def terminal_table(report: LadderReport) -> Table:
    """Lay the main figures out within 100 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("rung", no_wrap=True)
    for title in ("passed %", "p", "same", "ms 50/95 %", "tokens", "per 100k", "once", "from"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in report.rungs:
        table.add_row(*_short(one), style="bold" if one.name == report.advice.rung else None)
    return table


def notes_of(report: LadderReport) -> Iterator[str]:
    """Say how the figures are to be read."""
    yield (
        "Intervals hold the true share 95 times of 100 (Wilson); p is McNemar's exact test on the "
        "same cases, two-sided, beside the rung below."
    )
    yield (
        f"Latencies are whole answers at {report.concurrent} requests at a time; tokens are means "
        "of a request."
    )
    if report.judges != Judges():
        yield judged_by(report.judges)
    own = report.prices.own
    if own is not None:
        yield (
            f"A machine at {usd(own.usd_per_hour)} an hour is paid for the time that the requests "
            f"keep it busy, as measured at this load and {own.utilisation:.0%} busy on average."
        )
    if any(one.usd_per_100k is None for one in report.rungs):
        yield "Where no cost stands no price is known; --prices takes a file of prices."
    elif len(report.rungs) > 1:
        yield (
            "`cheaper from` is the number of requests from which a rung, with what it took once, "
            "has cost less than the cheapest rung that is good enough, or than the advised one."
        )


def _whole(one: RungFigures) -> list[str]:
    figures, passed = one.figures, one.figures.pass_rate
    prompt = f"{figures.prompt_tokens:.0f}"
    return [
        one.name,
        _bounds(passed),
        _beside(one.below),
        _beside(one.first),
        "" if figures.consistency is None else f"{figures.consistency:.3f}",
        f"{one.p50_ms:,.0f} / {one.p95_ms:,.0f}",
        f"{prompt} ({one.cached_tokens:.0f})" if one.cached_tokens else prompt,
        f"{figures.completion_tokens:.1f}",
        "" if one.usd_per_100k is None else usd(one.usd_per_100k),
        _once(one),
        "" if one.break_even_requests is None else f"{one.break_even_requests:,}",
        str(figures.errors or ""),
    ]


def _short(one: RungFigures) -> list[str]:
    passed, tokens = one.figures.pass_rate, one.figures
    return [
        one.name,
        f"{100 * passed.value:.1f} [{100 * passed.low:.0f}, {100 * passed.high:.0f}]",
        f"{one.below.pairs.p:.2g}" if one.below else "",
        "" if tokens.consistency is None else f"{tokens.consistency:.2f}",
        f"{one.p50_ms:.0f}/{one.p95_ms:.0f}",
        f"{tokens.prompt_tokens:.0f}+{tokens.completion_tokens:.0f}",
        "" if one.usd_per_100k is None else usd(one.usd_per_100k),
        _once(one),
        "" if one.break_even_requests is None else f"{one.break_even_requests:,}",
    ]


def _bounds(found: Bounds | None) -> str:
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]" if found else ""


def _once(one: RungFigures) -> str:
    if one.training is None:
        return ""
    spent = f", {usd(one.training.usd)}" if one.training.usd is not None else ""
    return f"{one.training.seconds:.0f} s{spent}"


def _beside(found: RungComparison | None) -> str:
    return f"{_difference(found)}, p = {found.pairs.p:.2g}" if found else ""


def _difference(found: RungComparison) -> str:
    seen = found.pairs.difference
    return f"{seen.value:+.1%} [{seen.low:+.1%}, {seen.high:+.1%}]"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write a table in Markdown."""
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
