"""Child processes under the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.cli.children import MAX_LOG_BYTES, Backoff, Child, rotate

pytestmark = pytest.mark.anyio

_QUICK = Backoff(first_seconds=0.01, most_seconds=0.05)


def _child(tmp_path: Path, code: str, said: list[str]) -> Child:
    return Child(
        "worker",
        [sys.executable, "-c", code],
        {"MARK": "seen"},
        tmp_path / "worker.log",
        said.append,
        stop_seconds=5,
        backoff=_QUICK,
    )


async def _until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_child_that_ends_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    child = _child(tmp_path, "import os; print(os.environ['MARK']); raise SystemExit(3)", said)
    task = asyncio.create_task(child.keep_running())
    await _until(lambda: child.restarts >= 2)
    await _cancelled(task)
    assert "exit code 3" in said[0]
    assert "starting it again" in said[0]
    assert "seen" in child.log.read_text()


async def test_a_killed_child_is_named_by_its_signal(tmp_path: Path) -> None:
    said: list[str] = []
    child = _child(tmp_path, "import time; time.sleep(60)", said)
    task = asyncio.create_task(child.keep_running())
    await _until(lambda: child.process is not None)
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    await _until(lambda: said)
    await _cancelled(task)
    assert "SIGKILL" in said[0]


async def test_stopping_ends_the_child_and_does_not_start_it_again(tmp_path: Path) -> None:
    child = _child(tmp_path, "import time; time.sleep(60)", [])
    task = asyncio.create_task(child.keep_running())
    await _until(lambda: child.process is not None)
    await _cancelled(task)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGTERM


async def test_a_child_that_ignores_the_request_is_killed_with_its_group(tmp_path: Path) -> None:
    said: list[str] = []
    ready = tmp_path / "ready"
    code = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    child = _child(tmp_path, code, said)
    child.stop_seconds = 0.2
    task = asyncio.create_task(child.keep_running())
    await _until(ready.exists)
    await _cancelled(task)
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL
    assert "killing it" in said[0]


def test_the_wait_doubles_up_to_a_limit() -> None:
    backoff = Backoff(first_seconds=1, most_seconds=5)
    assert [backoff.delay(deaths) for deaths in (1, 2, 3, 4)] == [1, 2, 4, 5]


def test_a_large_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * (MAX_LOG_BYTES + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "a.log.1").exists()
