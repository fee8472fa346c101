"""Adapter folders made without torch: valid by header and configuration, told apart by a marker."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, AdapterManifest
from services.domain.preflight import content_hash

MODULE = "base_model.model.model.layers.0.self_attn.q_proj"
HIDDEN = 16


def write_adapter(
    folder: Path, marker: str, *, rank: int = 8, name: str = "", **configuration: Any
) -> Path:
    """Write an adapter that the fake engine answers as `[marker]`; an empty one has no effect.

    Args:
        name: the manifest's name; the marker when left out.
        configuration: replaces fields of adapter_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "base",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["q_proj"],
        "bias": "none",
        **configuration,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    (folder / WEIGHTS_FILE).write_bytes(_weights(marker, rank))
    manifest = AdapterManifest(name=name or marker or "adapter", base_model="base")
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder


def version_of(folder: Path) -> str:
    """Compute an adapter folder's whole content hash."""
    weights = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    return content_hash((folder / CONFIG_FILE).read_bytes(), weights)


def _weights(marker: str, rank: int) -> bytes:
    size = 2 * rank * HIDDEN
    header = {
        "__metadata__": {"marker": marker},
        f"{MODULE}.lora_A.weight": _tensor([rank, HIDDEN], 0, size),
        f"{MODULE}.lora_B.weight": _tensor([HIDDEN, rank], size, 2 * size),
    }
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + bytes(2 * size)


def _tensor(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
