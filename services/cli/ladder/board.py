"""What a person sees while a ladder is climbed: a table on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

QUIET_SECONDS = 20.0
"""A log gets at most one line about a rung in this time, beginning and end excepted."""

_BAR = 16


@dataclass(slots=True)
class Row:
    """Where one rung stands."""

    name: str
    total: int
    done: int = 0
    passed: int = 0
    stage: str = "waits"
    said_at: float = field(default_factory=time.monotonic)

    @property
    def bar(self) -> str:
        """How far it is, as a picture."""
        full = round(_BAR * self.done / self.total) if self.total else 0
        return "━" * full + "╌" * (_BAR - full)


@dataclass(slots=True)
class Board:
    """The rungs of one run."""

    console: Console
    rows: dict[str, Row]
    live: Live | None = None

    def stage(self, name: str, stage: str, *, now: bool = False) -> None:
        """Say what a rung is at.

        Args:
            now: a log must have this line.
        """
        row = self.rows[name]
        row.stage = stage
        self._show(row, now=now)

    def answered(self, name: str, *, passed: bool) -> None:
        """Count an answer."""
        row = self.rows[name]
        row.done, row.passed, row.stage = row.done + 1, row.passed + passed, "asking"
        self._show(row, now=False)

    def over(self, name: str, stage: str) -> None:
        """Say how a rung ended."""
        self.stage(name, stage, now=True)

    def table(self) -> Table:
        """Lay out the rungs."""
        table = Table(box=None)
        table.add_column("rung", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("answers", justify="right")
        table.add_column("passed", justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        for row in self.rows.values():
            share = f"{row.passed / row.done:.0%}" if row.done else ""
            count = f"{row.done}/{row.total}"
            table.add_row(row.name, f"[cyan]{row.bar}[/]", count, share, escape(row.stage))
        return table

    def _show(self, row: Row, *, now: bool) -> None:
        if self.live is not None:
            self.live.update(self.table(), refresh=now)
            return
        if now or time.monotonic() - row.said_at >= QUIET_SECONDS:
            row.said_at = time.monotonic()
            share = f", {row.passed / row.done:.0%} passed" if row.done else ""
            line = f"{row.name:<18} {row.done}/{row.total}{share}  {row.stage}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def board_on(console: Console, names: Sequence[str], total: int) -> Iterator[Board]:
    """Show the rungs until the block ends."""
    board = Board(console, {name: Row(name, total) for name in names})
    if not console.is_terminal:
        yield board
        return
    with Live(board.table(), console=console, refresh_per_second=4, transient=True) as live:
        board.live = live
        yield board
