"""Reading an unpacked adapter: what it is, and whether the engines at hand could serve it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.chassis.artifacts import sha256_of
from services.chassis.errors import InvalidRequest
from services.contracts.adapters import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    ReplicaReport,
)
from services.domain.preflight import (
    HEADER_LIMIT_BYTES,
    AdapterShape,
    PreflightError,
    content_hash,
    inspect,
    read_header,
)
from services.gateway.adapters.layout import AdapterRefused, artifact_key

MAX_TEXT_FILE_BYTES = 1024 * 1024
"""The largest adapter_config.json and inkstone.json."""

_ENGINE_MAX_RANK = 512
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """An adapter that was examined and found servable."""

    id: str
    content_hash: str
    shape: AdapterShape
    bytes: int
    manifest: AdapterManifest

    @property
    def artifact_key(self) -> str:
        """Where its files are kept."""
        return artifact_key(self.id)


@dataclass(frozen=True, slots=True)
class Labels:
    """What the operator calls an adapter, as far as it was said."""

    name: str | None = None
    description: str | None = None


def examine(folder: Path, labels: Labels, replicas: Iterable[ReplicaReport]) -> Candidate:
    """Examine an adapter folder and write its manifest, completed, into it.

    Args:
        replicas: those whose engines are to serve it; without any, only the files are checked.

    Raises:
        AdapterRefused: with the code of the first finding.
    """
    known = list(replicas)
    config_bytes = _small_file(folder / CONFIG_FILE)
    config = _object(config_bytes)
    max_rank = min((r.max_lora_rank for r in known), default=_ENGINE_MAX_RANK)
    shape = _shape(config, folder / WEIGHTS_FILE, max_rank)
    manifest = _manifest(folder / MANIFEST_FILE, labels, shape)
    _check_base(manifest, known)
    digest = content_hash(config_bytes, sha256_of(folder / WEIGHTS_FILE))
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    size = len(config_bytes) + (folder / WEIGHTS_FILE).stat().st_size
    return Candidate(f"{manifest.name}@{digest[:12]}", digest, shape, size, manifest)


def _shape(config: dict[str, Any], weights: Path, max_rank: int) -> AdapterShape:
    with weights.open("rb") as file:
        head = file.read(_LENGTH_BYTES)
        length = int.from_bytes(head, "little")
        head += file.read(min(length, HEADER_LIMIT_BYTES))
    try:
        data_bytes = weights.stat().st_size - _LENGTH_BYTES - length
        header = read_header(head)
        return inspect(config, header, max_rank=max_rank, data_bytes=data_bytes)
    except PreflightError as error:
        raise AdapterRefused(str(error), code=error.code) from error


def _manifest(path: Path, labels: Labels, shape: AdapterShape) -> AdapterManifest:
    fields: dict[str, Any] = {"base_model": shape.base_model or "unknown"}
    if path.exists():
        fields = _object(_small_file(path))
    said = {"name": labels.name, "description": labels.description}
    fields |= {key: value for key, value in said.items() if value is not None}
    if "name" not in fields:
        raise InvalidRequest(
            "The adapter has no inkstone.json that names it; send a `name` with it.",
            code="adapter_name_missing",
            param="name",
        )
    try:
        return AdapterManifest.model_validate(fields)
    except ValidationError as error:
        finding = error.errors()[0]
        where = ".".join(map(str, finding["loc"]))
        raise AdapterRefused(
            f"inkstone.json, {where}: {finding['msg']}; mend it and pack the adapter again.",
            code="adapter_broken_manifest",
        ) from error


def _check_base(manifest: AdapterManifest, replicas: list[ReplicaReport]) -> None:
    trained_on = manifest.training.base_fingerprint
    served = {replica.base_fingerprint: replica.base_model for replica in replicas}
    if trained_on is not None and served and trained_on not in served:
        names = ", ".join(f"{name} ({mark})" for mark, name in sorted(served.items()))
        raise AdapterRefused(
            f"The adapter was trained on the base {manifest.base_model} ({trained_on}) and the "
            f"engines serve {names}; train it on that base.",
            code="adapter_wrong_base",
        )


def _small_file(path: Path) -> bytes:
    if path.stat().st_size > MAX_TEXT_FILE_BYTES:
        raise AdapterRefused(
            f"{path.name} is larger than {MAX_TEXT_FILE_BYTES} bytes; save the adapter again.",
            code="adapter_broken_config",
        )
    return path.read_bytes()


def _object(content: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise AdapterRefused(
            "adapter_config.json or inkstone.json is not a JSON object; save the adapter again "
            "with save_pretrained.",
            code="adapter_broken_config",
        )
    return decoded
