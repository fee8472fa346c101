"""How much memory a training may have, and how much it has."""

from __future__ import annotations

import os
from pathlib import Path

SHARE_OF_MACHINE = 0.8
"""What a training may take of the machine's memory, or of its container's, when nothing is set."""

_CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_RESIDENT = 1
"""The place of the resident pages in `/proc/<pid>/statm`."""


def default_limit() -> int:
    """Derive a training's limit in bytes from the machine, and from its container's limit."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limits = [pages * page, *filter(None, map(_limit_in, _CONTAINER_LIMITS))]
    return int(SHARE_OF_MACHINE * min(limits))


def resident_bytes(pid: int) -> int:
    """Measure the memory that a process holds; 0 once it is gone, or where no /proc tells."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    except OSError:
        return 0
    return int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")


def _limit_in(file: Path) -> int | None:
    try:
        written = file.read_text("ascii").strip()
    except OSError:
        return None
    return int(written) if written.isdecimal() else None
