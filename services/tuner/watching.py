"""What a training process says of itself, as events of its job."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal

from services.contracts.fine_tuning import TrainingFailure
from services.contracts.jobs import (
    JobResult,
    TrainedCheckpoint,
    TrainingEvent,
    TrainingProgress,
)
from services.tuner.durations import duration

ERROR_LINES = 12
"""How many of the last lines on standard error are kept."""

LONGEST_LINE = 1 << 20
"""Bytes of a line that are read; the rest of it is not."""

STEP_EVENTS = 1000
"""How many steps of a training become events; of a longer one only every so many."""

Status = Literal["succeeded", "failed", "cancelled", "paused"]


class Watch:
    """Follows one training, through every process that it takes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.progress: TrainingProgress | None = None
        self.status: Status = "failed"
        """How the training ended; failed until somebody says otherwise."""
        self.failure: tuple[str, str] | None = None
        """Why it failed: a code and a sentence."""
        self.kept: list[TrainedCheckpoint] = []
        """The checkpoints that a finished training kept."""
        self._clock = clock
        self._why: str | None = None
        self._told = 0
        self._events: deque[TrainingEvent] = deque()
        self._errors: deque[str] = deque(maxlen=ERROR_LINES)

    @property
    def step(self) -> int:
        """How far the training has got."""
        return self.progress.step if self.progress else 0

    def fail(self, code: str, why: str) -> None:
        """Note why the training failed; the first reason counts."""
        self.failure = self.failure or (code, why)

    def stop(self, status: Status, why: str) -> None:
        """Note that the training is told to stop."""
        self.status, self._why = status, why

    def say(self, level: Level, message: str, data: dict[str, Any] | None = None) -> None:
        """Add an event."""
        self._told += 1
        self._events.append(
            TrainingEvent(
                number=self._told, at=self._clock(), level=level, message=message, data=data
            )
        )

    def news(self) -> list[TrainingEvent]:
        """Read what the gateway has not heard of."""
        return list(self._events)

    def heard(self, news: Sequence[TrainingEvent]) -> None:
        """Forget what it has heard of."""
        for _ in news:
            self._events.popleft()

    def result(self, worker: str) -> JobResult:
        """Say how the training ended, with what was not told before."""
        code, why = None, self._why
        if self.status == "failed":
            code, why = self.failure or (TrainingFailure.FAILED, self._complaint())
        return JobResult(
            worker=worker,
            status=self.status,
            error=why,
            code=code,
            progress=self.progress,
            checkpoints=self.kept,
            events=self.news(),
        )

    async def progress_of(self, process: asyncio.subprocess.Process) -> None:
        """Follow the progress lines on standard output."""
        assert process.stdout is not None
        async for line in lines_of(process.stdout):
            try:
                report = json.loads(line)
            except ValueError:
                continue
            self._take(report)

    async def errors_of(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of standard error."""
        assert process.stderr is not None
        async for line in lines_of(process.stderr):
            self._errors.append(line.decode("utf-8", "replace").rstrip())

    def _complaint(self) -> str:
        """Say why the process failed: its last line, which for a Python error is its message."""
        return next((line for line in reversed(self._errors) if line.strip()), "no reason given")

    def _take(self, report: dict[str, Any]) -> None:
        match report.get("event"):
            case "step":
                self.progress = TrainingProgress(
                    step=report["step"],
                    of=report["of"],
                    loss=report.get("loss"),
                    trained_tokens=report.get("tokens", 0),
                    eta_seconds=report.get("eta_seconds"),
                    valid_loss=self.progress.valid_loss if self.progress else None,
                )
            case "failed":
                self.fail(report["code"], report["message"])
            case "validated" if self.progress is not None:
                self.progress = self.progress.model_copy(update={"valid_loss": report["loss"]})
            case "done":
                self.kept = [TrainedCheckpoint(**one) for one in report["kept"]]
        for level, message, data in _said(report):
            self.say(level, message, data)


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read lines of any length, of which the first `LONGEST_LINE` bytes are kept.

    The stream's own reading stops for ever at a line longer than its buffer, and the process that
    wrote it waits for ever for somebody to read on.
    """
    pending = b""
    while block := await stream.read(LONGEST_LINE):
        *whole, pending = (pending + block).split(b"\n")
        for line in whole:
            yield line[:LONGEST_LINE]
        pending = pending[:LONGEST_LINE]
    if pending:
        yield pending


Level = Literal["info", "warn"]
Said = tuple[Level, str, dict[str, Any] | None]


def _said(report: dict[str, Any]) -> Iterator[Said]:
    """Turn one progress line into what a person reads."""
    match report.get("event"):
        case "checked":
            for found in report["findings"]:
                yield "warn", f"{found['code']}: {found['message']}. {found['mend']}", None
        case "data":
            yield "info", _amounts(report), None
        case "predicted":
            yield "info", _prediction(report), None
        case "step" if _shown(report["step"], report["of"]):
            step, of, loss = report["step"], report["of"], report.get("loss")
            figures = {"step": step, "total_steps": of, "train_loss": loss}
            eta = {"eta_seconds": report["eta_seconds"]} if "eta_seconds" in report else {}
            yield "info", f"Step {step}/{of}: training loss={loss}", figures | eta
        case "validated":
            figures = {"step": report["step"], "full_valid_loss": report["loss"]}
            yield "info", f"Step {report['step']}: validation loss={report['loss']}", figures


def _amounts(report: dict[str, Any]) -> str:
    least, most = report["trained_min"], report["trained_max"]
    each = f"{least}" if least == most else f"{least} to {most}"
    held = f"; {report['held_out']} rows are held out" if report["held_out"] else ""
    return (
        f"Training on {report['rows']} answers with {report['tokens']:,} tokens, of which "
        f"{report['trained']:,} carry loss, {each} an answer{held}"
    )


def _prediction(report: dict[str, Any]) -> str:
    seconds, tokens = report["seconds"], report["computed_tokens"]
    rate = tokens / seconds if seconds else 0.0
    return (
        f"About {duration(seconds)}: {tokens:,} tokens with padding in {report['steps']} steps, at "
        f"{rate:,.0f} tokens a second"
    )


def _shown(step: int, of: int) -> bool:
    every = -(-of // STEP_EVENTS)
    return step % every == 0 or step == of
