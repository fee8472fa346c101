"""How long a training will take, measured on its own first batch before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.tuner.completion_loss import CompletionTrainer
from services.tuner.datasets.sharing import SharedRow
from services.tuner.durations import duration
from services.tuner.refusals import TrainingTooLong

ROUNDS = 2
"""The first of so many rounds pays for what is set up once; the last one is measured."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a training will take."""

    steps: int
    computed_tokens: int
    """With the padding that brings the sequences of a batch to one length."""
    seconds: float


def predicted(
    trainer: CompletionTrainer,
    sequences: Sequence[SharedRow],
    *,
    batch: int,
    clock: Callable[[], float] = time.monotonic,
) -> Prediction:
    """Time one batch and scale it to all of them.

    Args:
        sequences: everything that is trained, in the order of the training.
        batch: sequences a step.
    """
    batches = [sequences[at : at + batch] for at in range(0, len(sequences), batch)]
    sizes = [len(one) * max(len(row.input_ids) for row in one) for one in batches]
    # The batch of a middling size: what it takes a token is nearest to what all of them take.
    middle = sorted(range(len(batches)), key=sizes.__getitem__)[len(batches) // 2]
    for _ in range(ROUNDS):
        began = clock()
        _step(trainer, batches[middle])
        took = clock() - began
    total = sum(sizes)
    return Prediction(len(batches), total, took / sizes[middle] * total)


def check_time(found: Prediction, most_seconds: float | None) -> None:
    """Refuse a training that would take too long.

    Raises:
        TrainingTooLong: naming both times.
    """
    if most_seconds is not None and found.seconds > most_seconds:
        raise TrainingTooLong(
            f"the training would take {duration(found.seconds)} for {found.computed_tokens:,} "
            f"tokens and may take {duration(most_seconds)}; train fewer rows, shorter ones or "
            "fewer epochs, or have INKSTONE_TUNER_MAX_TRAINING_SECONDS raised."
        )


def _step(trainer: CompletionTrainer, rows: Sequence[SharedRow]) -> None:
    """Compute a loss and its gradients, and throw them away."""
    model: Any = trainer.model
    made = trainer.data_collator([asdict(row) for row in rows])
    inputs = {name: tensor.to(trainer.args.device) for name, tensor in made.items()}
    trainer.compute_loss(model, inputs).backward()
    model.zero_grad(set_to_none=True)
