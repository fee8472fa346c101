"""What is told of a training step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from services.tuner.progress import ProgressLines


class StepReport(TrainerCallback):
    """Reports each optimiser step: where it stands, the loss, the tokens and the time to go."""

    def __init__(self, lines: ProgressLines, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._started = 0.0
        self._first_step = 0

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start the clock; a resumed run starts at the checkpoint's step."""
        self._started = self._clock()
        self._first_step = state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report a step or a measurement; the trainer's closing summary is left out."""
        if logs and "eval_loss" in logs:
            loss = round(logs["eval_loss"], 4)
            self._lines.write("validated", step=state.global_step, of=state.max_steps, loss=loss)
        if not logs or "loss" not in logs:
            return
        done = max(1, state.global_step - self._first_step)
        seconds_each = (self._clock() - self._started) / done
        self._lines.write(
            "step",
            step=state.global_step,
            of=state.max_steps,
            loss=round(logs["loss"], 4),
            tokens=int(state.num_input_tokens_seen),
            eta_seconds=round(seconds_each * (state.max_steps - state.global_step), 1),
        )
