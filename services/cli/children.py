"""One child process under the supervisor: started, watched, restarted, stopped with its group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.processes import die_with_parent

MAX_LOG_BYTES = 20 * 1024 * 1024
"""A log larger than this is set aside as `.1` when its process starts."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next start: doubling, and forgotten after a quiet time."""

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    quiet_seconds: float = 60.0

    def delay(self, deaths: int) -> float:
        """Seconds to wait after so many deaths in a row."""
        return min(self.most_seconds, self.first_seconds * 2.0 ** max(0, deaths - 1))


@dataclass(slots=True)
class Child:
    """A process that is kept running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    say: Callable[[str], None]
    stop_seconds: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None

    async def keep_running(self) -> None:
        """Start the process, and again whenever it ends, until cancelled; then stop it."""
        deaths = 0
        try:
            while True:
                started = time.monotonic()
                code = await self._run_once()
                deaths = (
                    1 if time.monotonic() - started > self.backoff.quiet_seconds else deaths + 1
                )
                delay = self.backoff.delay(deaths)
                self.restarts += 1
                self.say(
                    f"{self.name} ended ({_cause(code)}); starting it again in {delay:.1f} s "
                    f"(log: {self.log})"
                )
                await asyncio.sleep(delay)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Ask the process to stop, and kill its group when it does not in time."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), self.stop_seconds)
        except TimeoutError:
            self.say(f"{self.name} did not stop within {self.stop_seconds:.0f} s; killing it")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _run_once(self) -> int:
        rotate(self.log)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return await self.process.wait()


def rotate(log: Path) -> None:
    """Set a large log aside, keeping one."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
