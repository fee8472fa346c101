"""Checks of a LoRA adapter before any engine sees it, from its configuration and file header alone.

Every refusal has a code of its own. The rules follow what vLLM 0.32 refuses at load time or, worse,
accepts and serves without effect; vLLM answers 500 to nearly all of them, so they are decided here.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER_LIMIT_BYTES = 16 * 1024 * 1024
"""A safetensors header larger than this is refused before it is parsed."""

_TENSOR = re.compile(
    r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$"
)
_UNSUPPORTED_INIT = ("pissa", "olora", "corda", "loftq", "eva")
_DTYPES = {"F32", "F16", "BF16"}


class PreflightError(ValueError):
    """An adapter that cannot be served, with the code and the mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """What the header and the configuration say that an adapter is."""

    rank: int
    target_modules: tuple[str, ...]
    base_model: str | None
    """PEFT's `base_model_name_or_path`, which may be a path or null."""
    tensors: int


def read_header(head: bytes) -> dict[str, Any]:
    """Parse a safetensors header from the first bytes of a file.

    Args:
        head: at least the 8 length bytes and the header itself.

    Raises:
        PreflightError: `adapter_not_safetensors` when the bytes are anything else.
    """
    refusal = PreflightError(
        "adapter_not_safetensors",
        "adapter_model.safetensors is not a safetensors file; save the adapter with "
        "save_pretrained(safe_serialization=True).",
    )
    if len(head) < 8:
        raise refusal
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= HEADER_LIMIT_BYTES or len(head) < 8 + length:
        raise refusal
    try:
        header = json.loads(head[8 : 8 + length])
    except ValueError as error:
        raise refusal from error
    if not isinstance(header, dict):
        raise refusal
    return header


def inspect(
    config: Mapping[str, Any],
    header: Mapping[str, Any],
    *,
    max_rank: int,
    base_modules: frozenset[str] | None = None,
) -> AdapterShape:
    """Decide whether an adapter can be served.

    Args:
        config: PEFT's adapter_config.json.
        header: the safetensors header.
        max_rank: the engine's `--max-lora-rank`.
        base_modules: the base's own linear module names (last path part); None skips that check.

    Raises:
        PreflightError: with one of the codes in docs/errors.md.
    """
    _check_config(config)
    ranks, modules = _ranks(header)
    rank = max(ranks)
    if rank > max_rank:
        raise PreflightError(
            "adapter_rank_too_high",
            f"The adapter's rank is {rank} and the engine accepts {max_rank}; train with a lower "
            "rank or raise INKSTONE_GENERATOR_MAX_LORA_RANK.",
        )
    leaves = tuple(sorted({module.rsplit(".", 1)[-1] for module in modules}))
    if base_modules is not None and (unknown := sorted(set(leaves) - base_modules)):
        raise PreflightError(
            "adapter_wrong_modules",
            f"The base has no module named {', '.join(unknown)}; the adapter was trained for "
            "another model.",
        )
    return AdapterShape(rank, leaves, config.get("base_model_name_or_path"), len(header))


def content_hash(config_bytes: bytes, weights_sha256: str) -> str:
    """Name an adapter by its content: sha256 over the two files' own sha256."""
    config_sha256 = hashlib.sha256(config_bytes).hexdigest()
    return hashlib.sha256(f"{config_sha256} {weights_sha256}".encode()).hexdigest()


def _check_config(config: Mapping[str, Any]) -> None:
    def refuse_if(condition: object, code: str, message: str) -> None:
        if condition:
            raise PreflightError(code, message)

    kind = config.get("peft_type")
    refuse_if(
        kind != "LORA",
        "adapter_not_lora",
        f"The adapter's peft_type is {kind!r}; only LORA adapters can be served.",
    )
    unsupported = {
        "use_dora": "DoRA",
        "lora_bias": "lora_bias",
        "layer_replication": "layer replication",
        "alora_invocation_tokens": "activated LoRA",
        "use_qalora": "QALoRA",
        "use_bdlora": "BD-LoRA",
        "trainable_token_indices": "trainable tokens",
        "target_parameters": "target_parameters",
    }
    for key, label in unsupported.items():
        refuse_if(
            config.get(key),
            "adapter_unsupported_feature",
            f"The adapter uses {label}, which the engine cannot serve; train a plain LoRA.",
        )
    refuse_if(
        config.get("bias", "none") != "none",
        "adapter_unsupported_feature",
        "The adapter trains bias terms, which the engine cannot serve; train with bias='none'.",
    )
    refuse_if(
        config.get("modules_to_save"),
        "adapter_unsupported_feature",
        "The adapter saves whole modules (modules_to_save), which the engine cannot serve.",
    )
    init = config.get("init_lora_weights")
    refuse_if(
        isinstance(init, str) and init.lower().startswith(_UNSUPPORTED_INIT),
        "adapter_unsupported_feature",
        f"The adapter was initialised with {init}, which changes the base's weights; use the "
        "default initialisation.",
    )


def _ranks(header: Mapping[str, Any]) -> tuple[list[int], set[str]]:
    """Read each pair's rank from the tensors' shapes."""
    sides: dict[str, dict[str, list[int]]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        match = _TENSOR.match(name)
        if match is None:
            raise PreflightError(
                "adapter_unexpected_tensor",
                f"The weights hold {name!r}, which is not a LoRA matrix; train a plain LoRA.",
            )
        if entry.get("dtype") not in _DTYPES:
            raise PreflightError(
                "adapter_wrong_dtype",
                f"{name!r} is stored as {entry.get('dtype')}; save the adapter in "
                "float32, float16 or bfloat16.",
            )
        sides.setdefault(match["module"], {})[match["side"]] = entry.get("shape", [])
    if not sides:
        raise PreflightError("adapter_empty", "The weights hold no LoRA matrices.")
    ranks = []
    for module, shapes in sides.items():
        a, b = shapes.get("A"), shapes.get("B")
        if not a or not b or len(a) != 2 or len(b) != 2 or a[0] != b[1]:
            raise PreflightError(
                "adapter_broken_pair",
                f"The matrices of {module!r} do not fit each other; save the adapter again.",
            )
        ranks.append(a[0])
    return ranks, set(sides)
