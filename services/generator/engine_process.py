"""One run of the engine as a child process: started, followed by its log, stopped as a group."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_PHASES = (
    ("Initializing a V1 LLM engine", "starting the engine core"),
    ("Starting to load model", "loading weights"),
    ("Loading weights took", "warming up"),
    ("init engine", "opening the server"),
)
"""What the engine writes while it starts, in order, and what it does from then on."""

FIRST_PHASE = "importing"
_PR_SET_PDEATHSIG = 1


class EngineProcess:
    """A running engine; made by `running_engine`."""

    def __init__(self, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self._process = process
        self._log_file = log_file
        self._read_until = 0
        self._phase = FIRST_PHASE

    @property
    def pid(self) -> int:
        """The API server's process id, which is its group's, too."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it ends."""
        return await self._process.wait()

    def phase(self) -> str:
        """Read in the log how far the start has come."""
        with self._log_file.open("rb") as file:
            file.seek(self._read_until)
            added = file.read()
        # The last line may still be incomplete; it is read again next time.
        complete = added[: added.rfind(b"\n") + 1]
        self._read_until += len(complete)
        text = complete.decode("utf-8", "replace")
        for sign, phase in _PHASES:
            if sign in text:
                self._phase = phase
        return self._phase

    async def stop(self, patience_seconds: float) -> None:
        """Ask it to end, then kill whatever is left of its group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_seconds):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()


@contextlib.asynccontextmanager
async def running_engine(
    command: Sequence[str],
    environment: Mapping[str, str],
    log_file: Path,
    *,
    patience_seconds: float,
) -> AsyncIterator[EngineProcess]:
    """Start an engine in a process group of its own, and end the group when the block ends.

    Args:
        log_file: gets the engine's output; the run before is kept beside it.
        patience_seconds: how long it may take to end by itself.
    """
    with _fresh_log(log_file) as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    engine = EngineProcess(process, log_file)
    try:
        yield engine
    finally:
        await asyncio.shield(engine.stop(patience_seconds))


def _fresh_log(log_file: Path) -> BinaryIO:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if log_file.exists():
        log_file.replace(log_file.with_name(log_file.name + ".1"))
    return log_file.open("wb")


def _end_with_parent() -> None:
    """Ask the kernel to end this process when the agent is gone, however that happened."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
