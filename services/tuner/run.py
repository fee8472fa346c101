"""Everything that one training needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy
from services.tuner.recipe import Recipe

DEFAULT_END_OF_TURN = "<end_of_turn>"
"""The token that the chat template writes after an answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a training may take; none by default."""

    rows: int | None = None
    """Conversations in the file."""
    seconds: float | None = None
    """As predicted before the first step."""


@dataclass(frozen=True, slots=True)
class Judging:
    """By what the adapter will be judged once it is trained."""

    cases: Path | None = None
    """The cases of a set that was named; then nothing is held out."""
    validation: Path | None = None
    """Rows that are only measured; then nothing is held out."""
    holdout: float | None = None
    """The share of the file that is held out; by the rule when None."""
    grounded: bool = False
    """Whether the adapter will be served with retrieved passages."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training."""

    base: Path
    rows: Path
    profile: Profile | None
    """None when only the rows know what instructs the model."""
    name: str
    out: Path
    recipe: Recipe
    base_model: str
    """The base as a person knows it."""
    license: str
    """The base's, which binds the adapter too."""
    start_from: Path | None = None
    """An adapter folder whose weights the run goes on from, instead of a fresh LoRA."""
    resume: bool = False
    end_of_turn: str = DEFAULT_END_OF_TURN
    description: str = ""
    command: str = ""
    gate: DatasetPolicy = field(default_factory=DatasetPolicy)
    judging: Judging = field(default_factory=Judging)
    limits: Limits = field(default_factory=Limits)
    report: Path | None = None
    """Where losses, their picture and the held-out cases are written."""
    kept: Path | None = None
    """Where adapters of kept checkpoints are written, each in a folder `<step>`."""

    @property
    def checkpoints(self) -> Path:
        """Where the trainer's own state lies until the run has finished."""
        return self.out / "checkpoints"
