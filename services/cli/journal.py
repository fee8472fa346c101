"""Files of JSON lines that a run adds to as it goes, so that one that was cut off can go on.

A line counts once it ends with a newline; what a killed process left of its last line is cut off
before anything is added.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO


def whole_lines(path: Path) -> list[str]:
    """Read the lines that count, and cut off what follows them; none where there is no file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    kept = content[: content.rfind(b"\n") + 1]
    if kept != content:
        with path.open("r+b") as file:
            file.truncate(len(kept))
    return kept.decode().split("\n")[:-1]


def append(file: IO[str], line: object) -> None:
    """Write one line; it is on the disk when this returns."""
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    file.flush()
    os.fsync(file.fileno())
