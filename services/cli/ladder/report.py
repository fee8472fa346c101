"""What a ladder shows at its end: a table on the terminal, and three files."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.retrieval_report import width_of
from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import LadderReport, RungFigures
from services.contracts.wire import Wire


class SavedLadder(Wire):
    """A ladder as it lies in its file: the report, and everything that it rests on."""

    report: LadderReport
    cases: list[EvaluationCase]
    profiles: dict[str, Profile]
    """What each rung was told."""
    answers: dict[str, list[AnswerResult]]
    """By rung."""


def conclude(saved: SavedLadder, out: Path, console: Console) -> None:
    """Write the files and print what they say."""
    report = saved.report
    out.write_text(saved.model_dump_json(indent=1), encoding="utf-8")
    console.print(
        f"{report.cases} cases, {report.dataset_hash}, on {escape(report.base)}, "
        f"{report.concurrent} at a time, 95 % intervals",
        highlight=False,
        soft_wrap=True,
    )
    table = table_of(report)
    Console(width=max(console.width, width_of(table))).print(table)
    for one in report.left_out:
        console.print(
            f"[dim]{escape(one.name)} is left out: {escape(one.reason.rstrip('.'))}.[/dim]",
            soft_wrap=True,
        )
    for caution in report.cautions:
        console.print(f"[yellow]{escape(caution)}[/yellow]", soft_wrap=True)
    console.print(f"[bold]{escape(report.advice.headline)}[/bold]", soft_wrap=True)
    for sentence in [*report.advice.reasons, *report.advice.next_steps]:
        console.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
    console.print(f"[dim]{out}[/dim]", soft_wrap=True)


def table_of(report: LadderReport) -> Table:
    """Lay out the rungs within 100 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("rung", no_wrap=True)
    for title in ("passed", "p below", "ms 50/95 %", "tokens", "same", "per 100k", "once", "from"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in report.rungs:
        taken = one.name == report.advice.rung
        table.add_row(*cells(one), style="bold" if taken else None)
    return table


def cells(one: RungFigures) -> list[str]:
    """Write a rung's figures."""
    passed = one.figures.pass_rate
    return [
        one.name,
        f"{passed.value:.1%} [{passed.low:.0%}, {passed.high:.0%}]".replace("%", ""),
        f"{one.below.pairs.p:.2g}" if one.below else "",
        f"{one.p50_ms:.0f}/{one.p95_ms:.0f}",
        f"{one.figures.prompt_tokens:.0f}+{one.figures.completion_tokens:.0f}",
        "" if one.figures.consistency is None else f"{one.figures.consistency:.2f}",
        "" if one.usd_per_100k is None else usd(one.usd_per_100k),
        once(one),
        "" if one.break_even_requests is None else f"{one.break_even_requests:,}",
    ]


def once(one: RungFigures) -> str:
    """Write what it took to get to a rung."""
    if one.training is None:
        return ""
    spent = f" {usd(one.training.usd)}" if one.training.usd is not None else ""
    return f"{one.training.seconds:.0f} s{spent}"


def usd(amount: float) -> str:
    """Write an amount of US dollars."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"
