"""What a distillation shows at its end: why prompts gave no row, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from services.domain.distillation.harvest import REASONS


def table_of(dropped: Mapping[str, int]) -> Table:
    """Lay out the reasons."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for reason, count in dropped.items():
        table.add_row(str(count), reason, REASONS.get(reason, "this check failed"))
    return table


def next_commands(
    out: Path, assistant: str | None, judged: Sequence[Path], grounded: bool
) -> list[str]:
    """Write the commands that follow: check, train, compare."""
    profile = str(out.with_suffix(".profile.json"))
    name = assistant or out.stem
    check = ["inkstone", "data", "check", str(out), "--profile", profile]
    check += [part for file in judged for part in ("--eval", str(file))]
    check += ["--grounded"] if grounded else []
    train = ["inkstone", "trainings", "add", f"{name}-distilled", str(out), "--profile", profile]
    return ["Next:", f"  {shlex.join(check)}", f"  {shlex.join(train)}"]
