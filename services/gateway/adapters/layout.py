"""Which files make an adapter, and what a packed or imported folder may not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from services.chassis.errors import PayloadTooLarge, Unprocessable
from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_BLOCK_BYTES = 1024 * 1024


class AdapterRefused(Unprocessable):
    """An adapter that was read and cannot be registered."""

    code = "adapter_refused"


class AdapterTooLarge(PayloadTooLarge):
    """An adapter larger than the limit, packed or unpacked."""

    code = "adapter_too_large"


@dataclass(frozen=True, slots=True)
class AdapterLimits:
    """How much an adapter may hold."""

    max_bytes: int
    """Of all its files together."""
    max_files: int


def artifact_key(version: str) -> str:
    """Name the folder in the artifact store that holds a version's files."""
    return f"adapters/{version.replace('@', '/')}"


def adapter_files(names: Sequence[str]) -> Mapping[str, str]:
    """Find the adapter's own files: from their plain names to the given ones.

    The folder with the configuration nearest to the root is the adapter; checkpoints below it and
    other files beside it are left alone.

    Raises:
        AdapterRefused: when something is missing, ambiguous or pickled.
    """
    if pickled := sorted(n for n in names if PurePosixPath(n).suffix.lower() in _PICKLES):
        raise AdapterRefused(
            f"{pickled[0]!r} is a pickle, which can run code; leave it out and save the weights "
            "with save_pretrained(safe_serialization=True).",
            code="adapter_not_safetensors",
        )
    configurations = [n for n in names if PurePosixPath(n).name == CONFIG_FILE]
    if not configurations:
        raise _incomplete(CONFIG_FILE)
    depths = Counter(_depth(name) for name in configurations)
    if depths[min(depths)] > 1:
        raise AdapterRefused(
            "There is more than one adapter in it; register one at a time.",
            code="adapter_ambiguous",
        )
    folder = PurePosixPath(min(configurations, key=_depth)).parent
    found = {PurePosixPath(n).name: n for n in names if PurePosixPath(n).parent == folder}
    if WEIGHTS_FILE not in found:
        raise _incomplete(WEIGHTS_FILE)
    return {n: found[n] for n in (CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE) if n in found}


def copy_bounded(source: BinaryIO, target: BinaryIO, max_bytes: int) -> None:
    """Copy a file that may not be larger than a limit.

    Raises:
        AdapterTooLarge: when it is.
    """
    left = max_bytes
    while block := source.read(_BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            raise too_large(max_bytes)
        target.write(block)


def too_large(max_bytes: int) -> AdapterTooLarge:
    """Make the refusal of an adapter over the limit."""
    return AdapterTooLarge(
        f"The adapter is larger than {max_bytes} bytes; train fewer modules or a lower rank, or "
        "raise INKSTONE_GATEWAY_MAX_ADAPTER_BYTES."
    )


def _incomplete(file: str) -> AdapterRefused:
    return AdapterRefused(
        f"There is no {file} in it; pack the folder that save_pretrained wrote.",
        code="adapter_incomplete",
    )


def _depth(name: str) -> int:
    return len(PurePosixPath(name).parts)
