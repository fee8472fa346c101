"""What a finished training left on disk, to be handed over without training again."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from services.contracts.adapters import MANIFEST_FILE, AdapterManifest
from services.contracts.jobs import TrainedCheckpoint, TrainingProgress
from services.tuner.history import RESULTS_FILE


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished training."""

    progress: TrainingProgress | None
    """Where it ended."""
    kept: list[TrainedCheckpoint]


def manifest_in(folder: Path) -> AdapterManifest | None:
    """Read an adapter's manifest, which a training writes last; None when it is not there whole."""
    try:
        return AdapterManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def finished_in(
    adapter: Path, report: Path | None, kept: Path | None, before: TrainingProgress | None = None
) -> Finished | None:
    """Read what a training left; None when it has not come to its end.

    Args:
        adapter: the adapter's folder.
        report: the folder of its losses, if they are written.
        kept: the folder of its kept checkpoints, if there are any.
        before: what was last reported of it, for the tokens that were trained.
    """
    table = None if report is None else report / RESULTS_FILE
    if manifest_in(adapter) is None or (table is not None and not table.is_file()):
        return None
    trained, measured = _losses(table)
    described = () if kept is None else kept.glob(f"[0-9]*/{MANIFEST_FILE}")
    checkpoints = [
        TrainedCheckpoint(step=at, train_loss=trained.get(at), valid_loss=measured.get(at))
        for at in sorted(int(one.parent.name) for one in described)
    ]
    return Finished(_progress(trained, measured, before), checkpoints)


def _progress(
    trained: dict[int, float], measured: dict[int, float], before: TrainingProgress | None
) -> TrainingProgress | None:
    if not trained:
        return before
    last = max(trained)
    return TrainingProgress(
        step=last,
        of=last,
        loss=round(trained[last], 4),
        trained_tokens=before.trained_tokens if before else 0,
        eta_seconds=0.0,
        valid_loss=round(measured[max(measured)], 4) if measured else None,
    )


def _losses(table: Path | None) -> tuple[dict[int, float], dict[int, float]]:
    """Read the losses of the rows that were trained on, and of those that were only measured."""
    trained, measured = dict[int, float](), dict[int, float]()
    if table is None:
        return trained, measured
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for losses, name in ((trained, "train_loss"), (measured, "valid_loss")):
                if row[name]:
                    losses[int(row["step"])] = float(row[name])
    return trained, measured
