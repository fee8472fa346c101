"""How dates and differences are written for a person."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime


def day(second: float) -> str:
    """Write a time, in seconds since the epoch, as a day and a minute of UTC."""
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%d %H:%M")


def compared(first_name: str, first: str, second_name: str, second: str) -> str:
    """Write how two texts differ, line by line; one sentence when they do not."""
    lines = difflib.unified_diff(
        first.splitlines(), second.splitlines(), first_name, second_name, lineterm="", n=2
    )
    return "\n".join(lines) or f"{first_name} and {second_name} are the same."
