"""Writing a safetensors file of bfloat16 tensors piece by piece, in little memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
_BYTES_PER_VALUE = 2


def write_bfloat16(
    path: Path,
    shapes: Mapping[str, Shape],
    values: Callable[[str], Iterable[npt.NDArray[np.float32]]],
    progressed: Callable[[int, int], None],
) -> None:
    """Write tensors in the order of their names.

    Args:
        values: yields a tensor's values in order, in pieces of any size.
        progressed: told the bytes written and the bytes in all after each piece.
    """
    names = sorted(shapes)
    sizes = {name: _BYTES_PER_VALUE * int(np.prod(shapes[name])) for name in names}
    total, done = sum(sizes.values()), 0
    with path.open("wb") as file:
        file.write(_header(shapes, sizes))
        for name in names:
            for piece in _encoded(values(name)):
                file.write(piece)
                done += len(piece)
                progressed(done, total)


def to_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even; returns the bits."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounding = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    return ((bits + rounding) >> 16).astype(np.uint16)


def _encoded(pieces: Iterable[npt.NDArray[np.float32]]) -> Iterator[bytes]:
    for piece in pieces:
        yield to_bfloat16(piece).astype("<u2", copy=False).tobytes()


def _header(shapes: Mapping[str, Shape], sizes: Mapping[str, int]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, size in sizes.items():
        entries[name] = {
            "dtype": "BF16",
            "shape": list(shapes[name]),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    encoded = json.dumps(entries, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded
