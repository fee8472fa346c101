"""What an adapter's manifest says of how it came to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from services.contracts.adapters import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    TrainingRecord,
)
from services.domain.fingerprint import base_fingerprint, belongs_to_base, chat_template_hash
from services.domain.preflight import content_hash
from services.domain.rendering import prompt_hash
from services.tuner.datasets.encoding import TokenCount
from services.tuner.datasets.preparing import Prepared
from services.tuner.datasets.rows import dataset_hash
from services.tuner.run import TrainingRun

LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors")
"""The distributions whose versions shape a training run."""

PREPARED_FILE = "fingerprint.json"
"""What a base that Inkstone prepared says of itself."""

UNKNOWN_LICENSE = "unknown"
"""Of a base whose folder says nothing."""

TEMPLATE_FILE = "chat_template.jinja"
"""The chat template's file name in a base folder."""


def fingerprint_folder(base: Path) -> str:
    """Name the base that lies in a folder by its files."""
    files = []
    for path in sorted(base.iterdir()):
        if belongs_to_base(path.name):
            with path.open("rb") as file:
                files.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    return base_fingerprint(files)


def template_hash_of(base: Path) -> str | None:
    """Name the chat template that lies beside a base, if one does."""
    path = base / TEMPLATE_FILE
    return chat_template_hash(path.read_text("utf-8")) if path.is_file() else None


def adapter_version_of(folder: Path) -> str:
    """Name the adapter in a folder as its version would be named: `name@<12 hex>`."""
    manifest = AdapterManifest.model_validate_json((folder / MANIFEST_FILE).read_text("utf-8"))
    with (folder / WEIGHTS_FILE).open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    content = content_hash((folder / CONFIG_FILE).read_bytes(), weights)
    return f"{manifest.name}@{content[:12]}"


def license_of(base: Path) -> str:
    """Read a base's licence: what Inkstone noted when it prepared it, or its model card's."""
    prepared, card = base / PREPARED_FILE, base / "README.md"
    if prepared.is_file() and (noted := json.loads(prepared.read_text("utf-8")).get("license")):
        return str(noted)
    lines = card.read_text("utf-8").splitlines() if card.is_file() else []
    if not lines or lines[0].strip() != "---":
        return UNKNOWN_LICENSE
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip() == "---":
            break
        if name.strip() == "license" and value.strip():
            return value.strip()
    return UNKNOWN_LICENSE


def manifest_of(
    run: TrainingRun, count: TokenCount, data: Prepared, measured: Mapping[str, float]
) -> AdapterManifest:
    """Gather everything that is needed to judge or to repeat a training run.

    Args:
        measured: what the trainer measured.
    """
    started = {"started_from": adapter_version_of(run.start_from)} if run.start_from else {}
    record = TrainingRecord(
        system_prompt_hash=prompt_hash(run.profile) if run.profile else None,
        chat_template_hash=template_hash_of(run.base),
        base_fingerprint=fingerprint_folder(run.base),
        dataset_hash=dataset_hash(run.rows),
        recipe={**run.recipe.model_dump(mode="json"), **started},
        libraries={name: version(name) for name in LIBRARIES},
        command=run.command,
        metrics=_metrics(count, data, measured),
        findings=data.findings,
    )
    return AdapterManifest(
        name=run.name,
        description=run.description,
        base_model=run.base_model,
        license=run.license,
        training=record,
    )


def _metrics(count: TokenCount, data: Prepared, measured: Mapping[str, float]) -> dict[str, float]:
    valid = {"valid_loss": round(measured["eval_loss"], 4)} if "eval_loss" in measured else {}
    return {
        "train_loss": round(measured["train_loss"], 4),
        **valid,
        "train_seconds": round(measured["train_runtime"], 1),
        "rows": count.rows,
        "held_out_rows": data.held_out,
        "trained_tokens": count.trained,
        "trained_tokens_min": count.trained_min,
        "trained_tokens_mean": round(count.trained_mean, 1),
        "trained_tokens_max": count.trained_max,
    }


def write_manifest(folder: Path, manifest: AdapterManifest) -> None:
    """Write `inkstone.json` into an adapter's folder."""
    text = manifest.model_dump_json(indent=2) + "\n"
    (folder / MANIFEST_FILE).write_text(text, "utf-8")
