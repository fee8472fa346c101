"""What an adapter's manifest says of how it came to be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from services.contracts.adapters import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    TrainingRecord,
)
from services.contracts.assistants import Profile
from services.contracts.datasets import Finding
from services.domain.fingerprint import base_fingerprint, belongs_to_base, chat_template_hash
from services.domain.preflight import content_hash
from services.domain.rendering import prompt_hash
from services.tuner.recipe import Recipe

LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate")
"""The distributions whose versions shape a training run."""

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


def training_record(
    *,
    base: Path,
    profile: Profile,
    recipe: Recipe,
    dataset_hash: str,
    command: str,
    metrics: Mapping[str, float],
    started_from: str | None,
    findings: Sequence[Finding] = (),
) -> TrainingRecord:
    """Gather everything that is needed to judge or to repeat a training run."""
    extra = {"started_from": started_from} if started_from else {}
    return TrainingRecord(
        system_prompt_hash=prompt_hash(profile),
        chat_template_hash=template_hash_of(base),
        base_fingerprint=fingerprint_folder(base),
        dataset_hash=dataset_hash,
        recipe={**recipe.model_dump(mode="json"), **extra},
        libraries={name: version(name) for name in LIBRARIES},
        command=command,
        metrics=dict(metrics),
        findings=list(findings),
    )


def write_manifest(folder: Path, manifest: AdapterManifest) -> None:
    """Write `inkstone.json` into an adapter's folder."""
    text = manifest.model_dump_json(indent=2) + "\n"
    (folder / MANIFEST_FILE).write_text(text, "utf-8")
