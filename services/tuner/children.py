"""The process that trains: started, watched for the memory it takes, and ended with its group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.processes import die_with_parent
from services.contracts.fine_tuning import TrainingFailure
from services.tuner.memory import resident_bytes
from services.tuner.shortages import LESS_MEMORY, gib
from services.tuner.watching import Watch
from services.tuner.workshop import Workshop

DEVICES = "CUDA_VISIBLE_DEVICES"

STALLS = 3
"""A training that is killed so many times without having got any further fails."""


@dataclass(frozen=True, slots=True)
class Trainee:
    """Runs a training to its end, through kills of its process."""

    shop: Workshop
    watch: Watch

    async def train(self, command: Sequence[str]) -> bool:
        """Train until it is over, and tell whether it succeeded; the watch has heard why not.

        A process that is killed goes on from its last checkpoint, as long as it gets any further.
        """
        reached, stalls = -1, 0
        while (code := await self._run(command)) < 0 and self.watch.failure is None:
            at = self.watch.step
            stalls = 0 if at > reached else stalls + 1
            reached = max(at, reached)
            if stalls >= STALLS:
                self.watch.fail(*_killed(-code, stalls, at))
                return False
            self.watch.say(
                "warn", f"The training was killed ({_name(-code)}) at step {at}; it goes on"
            )
        return code == 0 and self.watch.failure is None

    async def _run(self, command: Sequence[str]) -> int:
        """Run one process to its end, and return its status."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(self.shop.threads),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        reading = asyncio.gather(
            self.watch.progress_of(process), self.watch.errors_of(process), return_exceptions=True
        )
        guarding = asyncio.create_task(self._guard(process.pid))
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({ending, guarding}, return_when=asyncio.FIRST_COMPLETED)
            if guarding.done():
                await self._end(process)
            await reading
            return await ending
        finally:
            guarding.cancel()
            await self._end(process)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            await ending

    async def _guard(self, pid: int) -> None:
        """Return when the process holds more memory than it may."""
        most, held = self.shop.max_memory_bytes, 0
        while held <= most:
            await asyncio.sleep(self.shop.memory_look_seconds)
            held = resident_bytes(pid)
        self.watch.fail(
            TrainingFailure.OUT_OF_MEMORY,
            f"The training held {gib(held)} of memory and may hold {gib(most)}; {LESS_MEMORY}.",
        )

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Stop the process and everything that it started."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.shop.stop_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _environment(threads: int) -> dict[str, str]:
    """Give a training one GPU, the first that may be seen: it is not written for several."""
    first = os.environ.get(DEVICES, "0").partition(",")[0]
    return {**os.environ, "OMP_NUM_THREADS": str(threads), DEVICES: first}


def _killed(number: int, times: int, step: int) -> tuple[str, str]:
    """Say what a training failed of that is killed wherever it goes on."""
    told = f"The training was killed {times} times at step {step} ({_name(number)})"
    if number == signal.SIGKILL:
        why = "most likely by the system, for want of memory"
        return TrainingFailure.OUT_OF_MEMORY, f"{told}, {why}; {LESS_MEMORY}."
    return TrainingFailure.FAILED, f"{told}; look at the tuner's log."


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
