"""What a ladder leaves at its end: a table on the terminal, and three files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from services.cli.ladder.page import page_of, subject_of
from services.cli.ladder.saved import SavedLadder
from services.cli.ladder.tables import (
    COMPARED,
    HEADINGS,
    compared_of,
    markdown_table,
    notes_of,
    parts_of,
    rows_of,
    terminal_table,
)
from services.cli.retrieval_report import width_of


def conclude(saved: SavedLadder, out: Path, console: Console) -> None:
    """Write the files and print what they say."""
    page, text = out.with_suffix(".html"), out.with_suffix(".md")
    out.write_text(saved.model_dump_json(indent=1), encoding="utf-8")
    page.write_text(page_of(saved), encoding="utf-8")
    text.write_text("\n".join(markdown_of(saved)) + "\n", encoding="utf-8")
    report, advice = saved.report, saved.report.advice
    console.print(escape(subject_of(saved)), highlight=False, soft_wrap=True)
    table = terminal_table(report)
    Console(width=max(console.width, width_of(table))).print(table)
    for one in report.left_out:
        told = f"{one.name} is left out: {one.reason.rstrip('.')}."
        console.print(f"[dim]{escape(told)}[/dim]", soft_wrap=True)
    for caution in report.cautions:
        console.print(f"[yellow]{escape(caution)}[/yellow]", soft_wrap=True)
    console.print(f"[bold]{escape(advice.headline)}[/bold]", highlight=False, soft_wrap=True)
    for sentence in [*advice.reasons, *advice.next_steps]:
        console.print(f"- {escape(sentence)}", highlight=False, soft_wrap=True)
    console.print(f"[dim]{out}  {page}  {text}[/dim]", soft_wrap=True)


def markdown_of(saved: SavedLadder) -> Iterator[str]:
    """Write the report in Markdown, line by line."""
    report, advice = saved.report, saved.report.advice
    yield from (f"# Ladder of {report.assistant}", "", f"**{advice.headline}**", "")
    yield from (subject_of(saved), "")
    yield from (f"{place}. {reason}" for place, reason in enumerate(advice.reasons, start=1))
    if advice.next_steps:
        yield from ("", "What next:", "")
        yield from (f"- {step}" for step in advice.next_steps)
    yield from ("", *markdown_table(HEADINGS, rows_of(report)), "")
    yield from notes_of(report)
    yield from ("", "The mean score of each check, and the share passed of each tag:", "")
    yield from markdown_table(*parts_of(report))
    yield from ("", f"{advice.rung} beside each other rung:", "")
    yield from markdown_table(COMPARED, compared_of(report))
    told = [f"{one.name} is left out: {one.reason.rstrip('.')}." for one in report.left_out]
    if told or report.cautions:
        yield from ("", "Mind:", "")
        yield from (f"- {one}" for one in [*told, *report.cautions])
