"""Preparing the packaged models once, with a bar for each."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from pathlib import Path

from services.chassis.processes import die_with_parent
from services.cli.display import Display, Task
from services.cli.failures import CommandError

_STDERR_LINES = 15


class PreparationError(CommandError):
    """A model could not be prepared."""


async def prepare(display: Display, label: str, module: str, *arguments: str) -> Path | str:
    """Run one preparation module and show what it reports.

    The module prints JSON lines `{"stage", "done", "total"}` and at last
    `{"stage": "ready", "path": ...}`.

    Raises:
        PreparationError: with the last lines that the module wrote.
    """
    task = display.task(label)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    complaint: deque[str] = deque(maxlen=_STDERR_LINES)
    path, _ = await asyncio.gather(
        _follow(process.stdout, task), _collect(process.stderr, complaint)
    )
    code = await process.wait()
    if code != 0 or path is None:
        raise PreparationError(f"{label} failed (exit code {code}):\n" + "".join(complaint))
    task.finish()
    return path


async def _follow(stream: asyncio.StreamReader, task: Task) -> str | None:
    path = None
    async for line in stream:
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if not isinstance(report, dict):
            continue
        path = report.get("path", path)
        task.update(
            str(report.get("stage", "")), done=report.get("done", 0), total=report.get("total")
        )
    return path


async def _collect(stream: asyncio.StreamReader, lines: deque[str]) -> None:
    async for line in stream:
        lines.append(line.decode("utf-8", "replace"))
