"""The bar of a job that is watched on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def job_bar(console: Console, *, transient: bool = False) -> Progress:
    """Make a bar whose tasks have a `said`; away from a terminal it shows nothing.

    Args:
        transient: whether it goes when the job is over.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[said]}[/dim]"),
        console=console,
        disable=not console.is_terminal,
        transient=transient,
    )
