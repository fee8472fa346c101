"""What a person sees while things get ready: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

QUIET_SECONDS = 5.0
"""A log gets at most one line for a task in this time, the last one excepted."""


@dataclass(slots=True)
class Task:
    """One thing that gets ready."""

    label: str
    display: Display
    bar: TaskID | None
    started: float = field(default_factory=time.monotonic)
    _said: str = ""
    _said_at: float = 0.0

    def update(self, stage: str, *, done: float = 0, total: float | None = None) -> None:
        """Say where it stands."""
        if self.bar is not None:
            self.display.bars.update(self.bar, stage=stage, completed=done, total=total)
            return
        now = time.monotonic()
        if stage != self._said and now - self._said_at >= QUIET_SECONDS:
            self._say(stage, now)

    def finish(self) -> None:
        """Say that it is ready."""
        if self.bar is not None:
            self.display.bars.update(self.bar, stage="ready", completed=1, total=1)
        elif self._said != "ready":
            self._say("ready", time.monotonic())

    def _say(self, stage: str, now: float) -> None:
        self._said, self._said_at = stage, now
        self.display.say(f"{self.label:<16} {now - self.started:5.0f} s  {stage}")


@dataclass(slots=True)
class Display:
    """The tasks under way on one console."""

    console: Console
    bars: Progress

    def task(self, label: str) -> Task:
        """Begin a task."""
        if not self.console.is_terminal:
            return Task(label, self, None)
        return Task(label, self, self.bars.add_task(label, total=None, stage="starting"))

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, highlight=False)


@contextmanager
def display_on(console: Console) -> Iterator[Display]:
    """Show tasks until the block ends; the lines that they left stay."""
    bars = Progress(
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[stage]}[/dim]"),
        console=console,
    )
    if not console.is_terminal:
        yield Display(console, bars)
        return
    with bars:
        yield Display(console, bars)
