"""Reading a GGUF file: its metadata, and its tensors as plain numbers.

The reader of the `gguf` package turns every token into several arrays first, which takes longer
than everything else in preparing a small model; only its dequantisation is used here.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i",
    6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_CHUNK_ROWS = 16384

Floats = npt.NDArray[np.float32]


class GgufError(ValueError):
    """The file is not a GGUF file that can be read."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where one tensor lies, and what it is."""

    name: str
    shape: tuple[int, ...]
    """Rows first, as every other library has it."""
    kind: int
    """GGML's number of the quantisation."""
    offset: int


class GgufFile:
    """An open GGUF file; a context manager.

    Attributes:
        metadata: the file's key-value pairs.
        tensors: what it holds, in file order.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        self.metadata: dict[str, Any] = {}
        self.tensors: list[GgufTensor] = []
        self._read_head()

    def __enter__(self) -> GgufFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def chunks(self, tensor: GgufTensor) -> Iterator[Floats]:
        """Dequantise a tensor a few thousand rows at a time."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        kind = GGMLQuantizationType(tensor.kind)
        elements, size = GGML_QUANT_SIZES[kind]
        row_bytes = tensor.shape[-1] // elements * size
        rows = int(np.prod(tensor.shape[:-1], dtype=np.int64))
        for start in range(0, rows, _CHUNK_ROWS):
            count = min(_CHUNK_ROWS, rows - start)
            begin = tensor.offset + start * row_bytes
            raw = np.frombuffer(self._map[begin : begin + count * row_bytes], dtype=np.uint8)
            yield dequantize(raw.reshape(count, row_bytes), kind).astype(np.float32, copy=False)

    def _read_head(self) -> None:
        if self._map[:4] != b"GGUF":
            raise GgufError("the file does not begin as a GGUF file does")
        self._at = 4
        version = self._scalar("<I")
        if version not in _VERSIONS:
            raise GgufError(f"GGUF version {version} is not known")
        tensors, pairs = self._scalar("<Q"), self._scalar("<Q")
        for _ in range(pairs):
            key = self._string()
            self.metadata[key] = self._value(self._scalar("<I"))
        found = [self._tensor() for _ in range(tensors)]
        alignment = int(self.metadata.get("general.alignment", 32))
        data = -(-self._at // alignment) * alignment
        self.tensors = [GgufTensor(t.name, t.shape, t.kind, data + t.offset) for t in found]

    def _tensor(self) -> GgufTensor:
        name = self._string()
        shape = tuple(self._scalar("<Q") for _ in range(self._scalar("<I")))
        kind, offset = self._scalar("<I"), self._scalar("<Q")
        return GgufTensor(name, tuple(reversed(shape)), kind, offset)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalar(_SCALARS[kind])
        of, length = self._scalar("<I"), self._scalar("<Q")
        if of == _STRING:
            return [self._string() for _ in range(length)]
        numbers = np.frombuffer(self._map, np.dtype(_SCALARS[of]), length, self._at).copy()
        self._at += numbers.nbytes
        return numbers

    def _string(self) -> str:
        length = self._scalar("<Q")
        text = self._map[self._at : self._at + length]
        self._at += length
        return text.decode("utf-8")

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._map, self._at)
        self._at += struct.calcsize(form)
        return value
