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
from typing import Any, TypeGuard

HEADER_LIMIT_BYTES = 16 * 1024 * 1024
"""A safetensors header larger than this is refused before it is parsed."""

_TENSOR = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Initialisations that leave the base's weights alone; vLLM refuses every other named one."""
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


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
    except (ValueError, RecursionError) as error:
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
    data_bytes: int | None = None,
) -> AdapterShape:
    """Decide whether an adapter can be served.

    Args:
        config: PEFT's adapter_config.json.
        header: the safetensors header.
        max_rank: the engine's `--max-lora-rank`.
        base_modules: the base's own linear module names (last path part); None skips that check.
        data_bytes: how many bytes follow the header in the file; None skips that check.

    Raises:
        PreflightError: with one of the codes in docs/errors.md.
    """
    _check_config(config)
    tensors = _tensors(header)
    if data_bytes is not None and (end := max(t.end for t in tensors)) != data_bytes:
        raise PreflightError(
            "adapter_truncated",
            f"The weights should hold {end} bytes and hold {data_bytes}; upload the file again.",
        )
    ranks = _ranks(tensors)
    rank = max(*ranks.values(), *_configured_ranks(config))
    if rank > max_rank:
        raise PreflightError(
            "adapter_rank_too_high",
            f"The adapter's rank is {rank} and the engine accepts {max_rank}; train with a lower "
            "rank or raise INKSTONE_GENERATOR_MAX_LORA_RANK.",
        )
    leaves = tuple(sorted({module.rsplit(".", 1)[-1] for module in ranks}))
    if base_modules is not None and (unknown := sorted(set(leaves) - base_modules)):
        raise PreflightError(
            "adapter_wrong_modules",
            f"The base has no module named {', '.join(unknown)}; the adapter was trained for "
            "another model.",
        )
    base = config.get("base_model_name_or_path")
    return AdapterShape(rank, leaves, base if isinstance(base, str) else None, len(tensors))


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One LoRA matrix as the header describes it."""

    module: str
    side: str
    rows: int
    columns: int
    end: int


def content_hash(config_bytes: bytes, weights_sha256: str) -> str:
    """Name an adapter by its content: sha256 over the two files' own sha256."""
    config_sha256 = hashlib.sha256(config_bytes).hexdigest()
    return hashlib.sha256(f"{config_sha256} {weights_sha256}".encode()).hexdigest()


def _check_config(config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise PreflightError(
            "adapter_not_lora",
            f"The adapter's peft_type is {str(kind)[:64]!r}; only LORA adapters can be served.",
        )

    def refuse_if(condition: object, message: str) -> None:
        if condition:
            raise PreflightError("adapter_unsupported_feature", message)

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
            f"The adapter uses {label}, which the engine cannot serve; train a plain LoRA.",
        )
    refuse_if(
        config.get("bias", "none") != "none",
        "The adapter trains bias terms, which the engine cannot serve; train with bias='none'.",
    )
    refuse_if(
        config.get("modules_to_save"),
        "The adapter saves whole modules (modules_to_save), which the engine cannot serve.",
    )
    init = config.get("init_lora_weights")
    refuse_if(
        isinstance(init, str) and init.lower() not in _PLAIN_INITS,
        f"The adapter was initialised with {str(init)[:64]!r}, which may change the base's "
        "weights; use the default initialisation.",
    )


def _configured_ranks(config: Mapping[str, Any]) -> list[int]:
    """Read what the configuration says of ranks; the engine refuses by these, unused or not."""
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, Mapping) else [None])]
    numbers = [rank for rank in ranks if _is_size(rank)]
    alpha, targets = config.get("lora_alpha"), config.get("target_modules")
    readable = len(numbers) == len(ranks) and isinstance(alpha, int | float)
    if not readable or not isinstance(targets, str | list):
        raise PreflightError(
            "adapter_broken_config",
            "adapter_config.json lacks a usable r, lora_alpha, target_modules or rank_pattern; "
            "save the adapter again with save_pretrained.",
        )
    return numbers


def _tensors(header: Mapping[str, Any]) -> list[_Tensor]:
    """Read every matrix of the header."""
    tensors = [_tensor(name, entry) for name, entry in header.items() if name != "__metadata__"]
    if not tensors:
        raise PreflightError("adapter_empty", "The weights hold no LoRA matrices.")
    return tensors


def _tensor(name: str, entry: Any) -> _Tensor:
    match = _TENSOR.fullmatch(name)
    if match is None:
        raise PreflightError(
            "adapter_unexpected_tensor",
            f"The weights hold {name[:128]!r}, which is not a LoRA matrix; train a plain LoRA.",
        )
    if not isinstance(entry, Mapping):
        raise _broken(name)
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPE_BYTES:
        raise PreflightError(
            "adapter_wrong_dtype",
            f"{name[:128]!r} is stored as {str(dtype)[:16]}; save the adapter in "
            "float32, float16 or bfloat16.",
        )
    if not _is_pair(shape) or not _is_pair(offsets) or not all(map(_is_size, shape)):
        raise _broken(name)
    if offsets[1] - offsets[0] != shape[0] * shape[1] * _DTYPE_BYTES[dtype]:
        raise _broken(name)
    return _Tensor(match["module"], match["side"], shape[0], shape[1], offsets[1])


def _ranks(tensors: list[_Tensor]) -> dict[str, int]:
    """Read each pair's rank from its matrices' shapes, by module."""
    sides: dict[str, dict[str, _Tensor]] = {}
    for tensor in tensors:
        sides.setdefault(tensor.module, {})[tensor.side] = tensor
    for module, pair in sides.items():
        if len(pair) != 2 or pair["A"].rows != pair["B"].columns:
            raise _broken(module)
    return {module: pair["A"].rows for module, pair in sides.items()}


def _broken(name: str) -> PreflightError:
    return PreflightError(
        "adapter_broken_pair",
        f"The matrices of {name[:128]!r} do not fit each other; save the adapter again.",
    )


def _is_size(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_pair(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value)
