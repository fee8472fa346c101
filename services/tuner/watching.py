"""What a training process says of itself, as events of its job."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from services.contracts.jobs import JobResult, TrainingEvent, TrainingProgress

ERROR_LINES = 12
"""How many of the last lines on standard error are kept."""

STEP_EVENTS = 1000
"""How many steps of a training become events; of a longer one only every so many."""

Status = Literal["succeeded", "failed", "cancelled", "paused"]


class Watch:
    """Follows one training process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.progress: TrainingProgress | None = None
        self.stopped: Status = "cancelled"
        """How a training ends that is told to stop."""
        self.stop_reason: str | None = None
        self._clock = clock
        self._failure: tuple[str, str] | None = None
        self._told = 0
        self._events: deque[TrainingEvent] = deque()
        self._errors: deque[str] = deque(maxlen=ERROR_LINES)

    def news(self) -> list[TrainingEvent]:
        """Read what the gateway has not heard of."""
        return list(self._events)

    def heard(self, news: Sequence[TrainingEvent]) -> None:
        """Forget what it has heard of."""
        for _ in news:
            self._events.popleft()

    def result(self, worker: str, status: Status, *, error: str | None = None) -> JobResult:
        """Say how the training ended, with what was not told before."""
        code = None
        if status == "failed":
            code, error = self._failure or ("training_failed", error)
        return JobResult(
            worker=worker,
            status=status,
            error=error,
            code=code,
            progress=self.progress,
            events=self.news(),
        )

    async def progress_of(self, process: asyncio.subprocess.Process) -> None:
        """Follow the progress lines on standard output."""
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                report = json.loads(line)
            except ValueError:
                continue
            self._take(report)

    async def errors_of(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of standard error."""
        assert process.stderr is not None
        async for line in process.stderr:
            self._errors.append(line.decode("utf-8", "replace").rstrip())

    def complaint(self) -> str:
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
                )
            case "failed":
                self._failure = (report["code"], report["message"])
            case "validated" if self.progress is not None:
                self.progress = self.progress.model_copy(update={"valid_loss": report["loss"]})
        for level, message, data in _said(report):
            self._told += 1
            self._events.append(
                TrainingEvent(
                    number=self._told, at=self._clock(), level=level, message=message, data=data
                )
            )


Said = tuple[Literal["info", "warn"], str, dict[str, Any] | None]


def _said(report: dict[str, Any]) -> Iterator[Said]:
    """Turn one progress line into what a person reads."""
    match report.get("event"):
        case "checked":
            for found in report["findings"]:
                yield "warn", f"{found['code']}: {found['message']}. {found['mend']}", None
        case "data":
            size = f"{report['rows']} answers with {report['tokens']} tokens"
            yield "info", f"Training on {size}, of which {report['trained']} carry loss", None
        case "step" if _shown(report["step"], report["of"]):
            step, of, loss = report["step"], report["of"], report.get("loss")
            figures = {"step": step, "total_steps": of, "train_loss": loss}
            yield "info", f"Step {step}/{of}: training loss={loss}", figures
        case "validated":
            figures = {"full_valid_loss": report["loss"]}
            yield "info", f"Validation loss={report['loss']} on {report['rows']} answers", figures


def _shown(step: int, of: int) -> bool:
    every = -(-of // STEP_EVENTS)
    return step % every == 0 or step == of
