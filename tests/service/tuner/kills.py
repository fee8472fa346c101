"""Finding and killing the processes that train."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from tests.fakes.agent import eventually

PATIENCE = 240.0


def trainees(parent: int) -> list[int]:
    """List the training processes that a worker's process has started."""
    entries = (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [int(entry.name) for entry in entries if _is_trainee(entry, parent)]


async def kill_trainee(parent: int) -> int:
    """Kill a worker's training process as soon as there is one; return its id."""
    await eventually(lambda: bool(trainees(parent)), seconds=PATIENCE)
    (pid,) = trainees(parent)
    os.kill(pid, signal.SIGKILL)
    while pid in trainees(parent):
        await asyncio.sleep(0.02)
    return pid


def kill_after(checkpoint: Path, parent: int) -> bool:
    """Kill the training process once a checkpoint is there; False when it had ended before."""
    until = time.monotonic() + PATIENCE
    while not checkpoint.exists():
        assert time.monotonic() < until, "there is no checkpoint"
        time.sleep(0.002)
    for pid in trainees(parent):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _is_trainee(entry: Path, parent: int) -> bool:
    try:
        stat = (entry / "stat").read_text()
        command = (entry / "cmdline").read_bytes()
    except OSError:
        return False
    state, ppid = stat.rpartition(")")[2].split()[:2]
    return int(ppid) == parent and state != "Z" and b"services.tuner.training" in command
