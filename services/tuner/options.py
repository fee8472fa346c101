"""The command line of one training."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy
from services.tuner.provenance import license_of
from services.tuner.recipe import PACKAGED_BASE, Recipe
from services.tuner.run import DEFAULT_END_OF_TURN, Judging, Limits, TrainingRun

_KNOBS: dict[str, tuple[str, type]] = {
    "--rank": ("rank", int),
    "--alpha": ("alpha", int),
    "--epochs": ("epochs", float),
    "--lr": ("learning_rate", float),
    "--batch": ("batch", int),
    "--share": ("share", int),
    "--max-length": ("max_length", int),
    "--precision": ("precision", str),
    "--checkpoint-steps": ("checkpoint_steps", int),
    "--seed": ("seed", int),
    "--threads": ("threads", int),
}
"""Options that stand for a field of the recipe."""


def run_of(given: Sequence[str]) -> TrainingRun:
    """Read what a command line asks for.

    Raises:
        ValidationError: a knob is unknown or out of range.
    """
    options = _parser().parse_args(given)
    return TrainingRun(
        base=options.base,
        rows=options.rows,
        profile=_profile(options.profile),
        name=options.name,
        out=options.out,
        recipe=_recipe(options),
        base_model=options.base_model,
        license=options.license or license_of(options.base),
        start_from=options.start_from,
        resume=options.resume,
        end_of_turn=options.end_of_turn,
        description=options.description,
        command=shlex.join(["python", "-m", "services.tuner.training", *given]),
        gate=DatasetPolicy.model_validate_json(options.gate),
        judging=Judging(options.cases, options.validation, options.holdout, options.grounded),
        limits=Limits(options.max_rows, options.max_seconds),
        report=options.report,
        kept=options.kept,
    )


_BY_DEFAULT = {"alpha": "twice the rank", "epochs": "by the rows", "batch": "by the rows"}
"""What a knob is where nobody says, if that is not one value."""


def _recipe(options: argparse.Namespace) -> Recipe:
    knobs: dict[str, Any] = json.loads(options.recipe) if options.recipe else {}
    named = {field: getattr(options, field) for field, _ in _KNOBS.values()}
    knobs |= {field: value for field, value in named.items() if value is not None}
    if "rank" in knobs and not options.recipe:
        knobs.setdefault("alpha", 2 * knobs["rank"])
    return Recipe.model_validate(knobs)


def _profile(path: Path | None) -> Profile | None:
    return None if path is None else Profile.model_validate_json(path.read_text("utf-8"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "services.tuner.training",
        description="Train one LoRA adapter; progress is JSON lines on standard output.",
    )
    add = parser.add_argument
    add("--base", type=Path, required=True, help="the prepared base's folder")
    add("--rows", type=Path, required=True, help="prompt/completion JSONL")
    add("--profile", type=Path, help="the profile served with, if it is known")
    add("--name", required=True, help="the adapter's name")
    add("--out", type=Path, required=True, help="the adapter's folder")
    add("--start-from", type=Path, help="an adapter folder to go on from")
    add("--recipe", help="the recipe as JSON; the knobs below override it")
    for option, (field, kind) in _KNOBS.items():
        default = getattr(Recipe(), field)
        told = _BY_DEFAULT.get(field, default)
        add(option, dest=field, type=kind, help=f"unset: {told}")
    add("--end-of-turn", default=DEFAULT_END_OF_TURN)
    add("--base-model", default=PACKAGED_BASE, help="the base as a person knows it")
    add("--license", help="the base's licence; unset: as the base's folder says")
    add("--description", default="")
    add("--gate", default="{}", help="what the rows must meet, as JSON")
    add("--validation", type=Path, help="rows that are only measured")
    add("--cases", type=Path, help="the cases that the adapter will be judged by")
    add("--holdout", type=float, help="the share of the rows that is held out as cases")
    add("--grounded", action="store_true", help="it will be served with retrieved passages")
    add("--report", type=Path, help="where losses and held-out cases are written; unset: nowhere")
    add("--kept", type=Path, help="where adapters of checkpoints are written; unset: nowhere")
    add("--max-rows", type=int)
    add("--max-seconds", type=float)
    add("--resume", action="store_true", help="go on from the last checkpoint")
    return parser
