"""A trained adapter as the two files that an engine loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from services.domain.preflight import AdapterShape, inspect, read_header

_HEAD_BYTES = 1 << 20


def export_adapter(model: PeftModel, folder: Path, *, base_model: str) -> AdapterShape:
    """Write the adapter in half the bytes of its training precision and check it as serving will.

    Raises:
        PreflightError: when what was written could not be served.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
    }
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = _plain_config(model, base_model)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    with (folder / WEIGHTS_FILE).open("rb") as file:
        header = read_header(file.read(_HEAD_BYTES))
    return inspect(config, header, max_rank=max(config["r"], 1))


def _plain_config(model: PeftModel, base_model: str) -> dict[str, Any]:
    """Render PEFT's configuration for serving: no local paths, sets as sorted lists."""
    config = model.peft_config["default"].to_dict()
    config["base_model_name_or_path"] = base_model
    config["inference_mode"] = True
    return {
        key: sorted(value) if isinstance(value, set) else value for key, value in config.items()
    }
