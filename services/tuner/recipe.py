"""The knobs of one training run, as they are kept in the adapter's manifest."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.jobs import DEFAULT_SEED, LEARNING_RATE

PACKAGED_FOLDER, PACKAGED_BASE = "gemma-3-270m", "google/gemma-3-270m"
"""The base that Inkstone prepares itself: its folder, and its name as a person knows it."""


MOST_EPOCHS = 5
"""Few rows are not passed over more often than this where nobody says so."""

PACES = ((500, 2, 300), (8_000, 4, 200))
"""Up to how many sequences a step takes so many, and how many steps are wanted, where nobody says;
more sequences take 8 a step, once.

100 rows in 13 steps did not even teach a 270M base to end an answer, and in 225, two a step, they
did; 900 film reviews are learnt in 225 of four."""


class Recipe(BaseModel):
    """How to train one LoRA adapter; every field has a default that suits a small base on a CPU."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rank: Annotated[int, Field(ge=1, le=64)] = 16
    alpha: Annotated[int, Field(ge=1)] = 32
    epochs: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Where nobody says: as many as make 300 steps up to 500 sequences, 200 beyond; 5 at most."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = LEARNING_RATE
    batch: Annotated[int, Field(ge=1, le=256)] = 8
    """Sequences a step. Where nobody says: 2 up to 500 sequences, 4 up to 8,000."""
    share: Annotated[int, Field(ge=1, le=16)] = 4
    """How many neighbouring rows with a common prompt make one sequence."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """The share of all steps in which the learning rate rises."""
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Annotated[int, Field(ge=16, le=32768)] = 768
    """A row with more tokens stops the training; nothing is cut silently."""
    precision: Literal["bfloat16", "float32", "nf4"] = "bfloat16"
    """Of the frozen base; `nf4` (QLoRA) needs a GPU and bitsandbytes. The adapter's own weights and
    the optimiser are always float32."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 50
    """A killed training goes on from the last multiple of so many steps."""
    keep_every: Annotated[int | None, Field(ge=1)] = None
    """Steps from one kept checkpoint to the next; the end of each epoch when unset."""
    keep: Annotated[int, Field(ge=0, le=20)] = 2
    """How many checkpoints before the last are kept as adapter versions: the latest so many."""
    seed: int = DEFAULT_SEED
    threads: Annotated[int, Field(ge=1)] = 1

    def settled(self, sequences: int) -> Recipe:
        """Choose what nobody has chosen, by how much there is to learn from.

        Args:
            sequences: of one epoch.
        """
        paces = ((batch, steps) for most, batch, steps in PACES if sequences <= most)
        usual, steps = next(paces, (self.batch, 1))
        batch = self.batch if "batch" in self.model_fields_set else usual
        epochs = self.epochs
        if "epochs" not in self.model_fields_set:
            epochs = float(min(MOST_EPOCHS, math.ceil(steps * batch / sequences)))
        return self.model_copy(update={"batch": batch, "epochs": epochs})
