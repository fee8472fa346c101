"""A tiny model in the 4-bit format of the packaged one, with random weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

HIDDEN, LAYERS, INNER, POSITIONS, TYPES = 32, 1, 64, 8, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁apple", "▁pie", "s"]


def packed_matrix(values: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> bytes:
    """Write blocks of 32: a half-precision scale, then low and high halves of 16 bytes."""
    out = b""
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7 or 1)
        quantised = np.clip(np.round(block / np.float32(scale)), -8, 7).astype(np.int8) + 8
        low, high = quantised[:16].astype(np.uint8), quantised[16:].astype(np.uint8)
        out += scale.tobytes() + (low | (high << 4)).astype(np.uint8).tobytes()
    return out


def tiny_file(path: Path) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Write a file of the format and return what its matrices were before packing."""
    random = np.random.default_rng(7)
    shapes = {"emb.word": (len(PIECES), HIDDEN)}
    for name, rows, columns in (
        ("q", HIDDEN, HIDDEN),
        ("k", HIDDEN, HIDDEN),
        ("v", HIDDEN, HIDDEN),
        ("ao", HIDDEN, HIDDEN),
        ("fi", INNER, HIDDEN),
        ("fo", HIDDEN, INNER),
    ):
        shapes[f"l0.{name}.w"] = (rows, columns)
    matrices = {
        name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()
    }
    vectors = {
        "emb.pos": POSITIONS * HIDDEN,
        "emb.type": HIDDEN,
        "emb.ln.w": HIDDEN,
        "emb.ln.b": HIDDEN,
        **{f"l0.{name}.b": HIDDEN for name in ("q", "k", "v", "ao", "fo")},
        "l0.fi.b": INNER,
        **{f"l0.{name}.{part}": HIDDEN for name in ("aln", "oln") for part in "wb"},
    }
    tensors = [(name, packed_matrix(values), values.size) for name, values in matrices.items()]
    for name, size in vectors.items():
        plain = random.normal(size=size).astype(np.float32)
        tensors.append((name, plain.tobytes(), size))
    path.write_bytes(_header(tensors))
    return matrices


def _header(tensors: list[tuple[str, bytes, int]]) -> bytes:
    blob = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)]).astype(np.uint32)
    scores = np.array([0, 0, 0, 0, -1, -2, -3, -4], np.float32)
    controls = struct.pack("<IB", 1, 0) + struct.pack("<IBI", 9, 1, 32)
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7i", HIDDEN, LAYERS, 4, INNER, len(PIECES), POSITIONS, TYPES)
    head += struct.pack("<fi", 1e-12, 32)
    head += struct.pack("<5i", len(PIECES), 0, 2, 1, 3) + struct.pack("<Q", len(blob))
    head += ends.tobytes() + scores.tobytes() + blob
    head += struct.pack("<iI", 2, len(controls)) + controls + struct.pack("<i", len(tensors))
    entry = struct.Struct("<BIQQ")
    offset = len(head) + sum(2 + len(name) + entry.size for name, _, _ in tensors)
    directory, body = b"", b""
    for name, content, count in tensors:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += entry.pack(0, count, offset + len(body), len(content))
        body += content
    return head + directory + body
