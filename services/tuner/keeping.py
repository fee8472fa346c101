"""Checkpoints that are kept: adapters as they were at an epoch's end, or every so many steps."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from services.tuner.export import export_adapter
from services.tuner.recipe import Recipe


def marks_of(recipe: Recipe, sequences: int) -> list[int]:
    """List the steps after which the validation loss is measured, and an adapter may be kept.

    Args:
        sequences: of one epoch.
    """
    last = math.ceil(math.ceil(sequences * recipe.epochs) / recipe.batch)
    if recipe.keep_every is not None:
        return list(range(recipe.keep_every, last, recipe.keep_every))
    ends = range(1, math.ceil(recipe.epochs))
    return [step for end in ends if (step := end * sequences // recipe.batch) < last]


class Keeper(TrainerCallback):
    """Measures at the marks, and writes the adapter of the latest ones."""

    def __init__(
        self,
        marks: Sequence[int],
        keep: int,
        folder: Path | None,
        *,
        base_model: str,
        measures: bool,
    ) -> None:
        self._marks = frozenset(marks)
        self._measures = measures
        self._kept = frozenset(sorted(marks)[-keep:] if keep else ())
        self._folder = folder
        self._base_model = base_model

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Have the loss measured, and keep the adapter, where the step is a mark."""
        if state.global_step not in self._marks:
            return
        control.should_evaluate = self._measures
        if self._folder is not None and state.global_step in self._kept:
            _write(kwargs["model"], self._folder / str(state.global_step), self._base_model)


def _write(model: PeftModel, folder: Path, base_model: str) -> None:
    """Write an adapter whole or not at all; a run that was killed writes it again."""
    torn = folder.with_name(f".{folder.name}")
    shutil.rmtree(torn, ignore_errors=True)
    export_adapter(model, torn, base_model=base_model)
    shutil.rmtree(folder, ignore_errors=True)
    torn.rename(folder)


def kept_in(folder: Path | None) -> list[int]:
    """List the steps whose adapters lie in a folder, in order."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(int(one.name) for one in folder.iterdir() if one.name.isdecimal())
