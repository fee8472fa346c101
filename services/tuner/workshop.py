"""What a worker trains with, and where the files of a job lie."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from services.contracts.jobs import CASES_FILE, ROWS_FILE, VALIDATION_FILE, Lease
from services.tuner.recipe import Recipe
from services.tuner.shortages import MORE_ROOM, gib


class DiskFull(Exception):
    """There is no room to train."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every training of a worker shares."""

    base: Path
    base_model: str
    """The base as a person knows it."""
    license: str | None
    """The base's; None when its folder says it."""
    end_of_turn: str
    data_dir: Path
    threads: int
    max_rows: int
    max_seconds: float
    """A training that is predicted to take longer is refused."""
    max_memory_bytes: int
    """A training that holds more is ended."""
    min_free_bytes: int
    """Where less room is left, no training begins."""
    memory_look_seconds: float
    stop_seconds: float
    """How long a training that is told to stop may take before it is killed."""

    def check_room(self) -> None:
        """Look whether there is room for checkpoints.

        Raises:
            DiskFull: naming what there is and what is asked for.
        """
        free = shutil.disk_usage(self.data_dir).free
        if free < self.min_free_bytes:
            raise DiskFull(
                f"The disk has {gib(free)} left and a training asks for "
                f"{gib(self.min_free_bytes)}; {MORE_ROOM}."
            )


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of one job lie; a restarted worker finds them again."""

    folder: Path

    @property
    def inputs(self) -> Path:
        """The rows, as the gateway stored them."""
        return self.folder / "input"

    @property
    def adapter(self) -> Path:
        """The adapter, with the trainer's checkpoints inside until it is finished."""
        return self.folder / "adapter"

    @property
    def report(self) -> Path:
        """The losses, and the cases made of held-out rows."""
        return self.folder / "report"

    @property
    def kept(self) -> Path:
        """Adapters of kept checkpoints, each in a folder named by its step."""
        return self.folder / "kept"


def command_of(lease: Lease, place: Place, shop: Workshop) -> list[str]:
    """Write the command that trains a job.

    Raises:
        ValidationError: a knob of its recipe is unknown or out of range.
    """
    spec = lease.job.spec
    recipe = Recipe.model_validate({"threads": shop.threads, **spec.recipe})
    return [
        sys.executable, "-m", "services.tuner.training",
        "--base", str(shop.base), "--base-model", shop.base_model,
        "--rows", str(place.inputs / ROWS_FILE), "--name", spec.adapter,
        "--out", str(place.adapter), "--report", str(place.report), "--kept", str(place.kept),
        "--description", spec.description, "--end-of-turn", shop.end_of_turn,
        "--recipe", recipe.model_dump_json(exclude_unset=True),
        "--gate", spec.gate.model_dump_json(),
        "--max-rows", str(shop.max_rows), "--max-seconds", str(shop.max_seconds),
        *([] if shop.license is None else ["--license", shop.license]),
        *([] if spec.holdout is None else ["--holdout", str(spec.holdout)]),
        *(["--grounded"] if spec.grounded else []),
        *_given(lease, place), "--resume",
    ]  # fmt: skip


def _given(lease: Lease, place: Place) -> list[str]:
    """Name the files that a job has beside its rows."""
    given, profile = list[str](), lease.job.spec.profile
    if profile is not None:
        written = place.inputs / "profile.json"
        written.write_text(profile.model_dump_json(), encoding="utf-8")
        given += ["--profile", str(written)]
    for option, name in (("--validation", VALIDATION_FILE), ("--cases", CASES_FILE)):
        if (place.inputs / name).is_file():
            given += [option, str(place.inputs / name)]
    return given
